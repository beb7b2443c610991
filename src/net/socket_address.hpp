// Endpoint to and from the kernel's sockaddr.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>
#include <string>

#include "base/endpoint.hpp"

namespace pccl::net {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = sizeof(sockaddr_storage);

  SocketAddress() = default;
  explicit SocketAddress(const Endpoint& endpoint) {
    if (endpoint.address.v6) {
      auto& v6 = reinterpret_cast<sockaddr_in6&>(storage);
      v6.sin6_family = AF_INET6;
      v6.sin6_port = htons(endpoint.port);
      std::memcpy(&v6.sin6_addr, endpoint.address.octets.data(), 16);
      length = sizeof v6;
    } else {
      auto& v4 = reinterpret_cast<sockaddr_in&>(storage);
      v4.sin_family = AF_INET;
      v4.sin_port = htons(endpoint.port);
      std::memcpy(&v4.sin_addr, endpoint.address.octets.data(), 4);
      length = sizeof v4;
    }
  }
  // Local to this machine and network namespace, as TCP ports are: what listens there belongs to
  // who listens at the port.
  static SocketAddress beside(std::uint16_t port) {
    const std::string name = "pccl-p2p-" + std::to_string(port);
    SocketAddress result;
    auto& local = reinterpret_cast<sockaddr_un&>(result.storage);
    local.sun_family = AF_UNIX;
    std::memcpy(local.sun_path + 1, name.data(), name.size());  // after a zero: no file
    result.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    return result;
  }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }

  Endpoint endpoint() const {
    Endpoint result;
    if (storage.ss_family == AF_UNIX) {
      result.address.octets = {127, 0, 0, 1};
    } else if (storage.ss_family == AF_INET6) {
      const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
      result.port = ntohs(v6.sin6_port);
      if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {  // an IPv4 host at a socket for both
        std::memcpy(result.address.octets.data(), v6.sin6_addr.s6_addr + 12, 4);
        return result;
      }
      result.address.v6 = true;
      std::memcpy(result.address.octets.data(), &v6.sin6_addr, 16);
    } else {
      const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
      result.port = ntohs(v4.sin_port);
      std::memcpy(result.address.octets.data(), &v4.sin_addr, 4);
    }
    return result;
  }
};

}  // namespace pccl::net
