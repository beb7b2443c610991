#include "listen_address.hpp"

#include <arpa/inet.h>
#include <ccoip.h>
#include <netdb.h>
#include <netinet/in.h>

#include <charconv>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>

namespace pccl_tools {

namespace {

struct HostAndPort {
  std::string_view host;
  std::string_view port;  // empty: the default
};

std::optional<HostAndPort> split(std::string_view text) {
  if (text.starts_with('[')) {
    const std::size_t closing = text.find(']');
    if (closing == std::string_view::npos) return std::nullopt;
    const std::string_view rest = text.substr(closing + 1);
    if (!rest.empty() && (rest.front() != ':' || rest.size() == 1)) return std::nullopt;
    return HostAndPort{text.substr(1, closing - 1), rest.empty() ? rest : rest.substr(1)};
  }
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return HostAndPort{text, {}};
  // Two colons without brackets: an IPv6 address, of which nobody can tell where the port begins.
  if (text.find(':', colon + 1) != std::string_view::npos || colon + 1 == text.size())
    return std::nullopt;
  return HostAndPort{text.substr(0, colon), text.substr(colon + 1)};
}

std::optional<std::uint16_t> port_of(std::string_view text) {
  if (text.empty()) return std::uint16_t{CCOIP_PROTOCOL_PORT_MASTER};
  std::uint16_t port = 0;
  const auto [stopped, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || stopped != text.data() + text.size() || port == 0)
    return std::nullopt;
  return port;
}

void take(const addrinfo& found, ccoip_inet_address_t& out) {
  if (found.ai_family == AF_INET) {
    out.protocol = inetIPv4;
    std::memcpy(out.ipv4.data, &reinterpret_cast<const sockaddr_in*>(found.ai_addr)->sin_addr,
                sizeof out.ipv4.data);
  } else {
    out.protocol = inetIPv6;
    std::memcpy(out.ipv6.data, &reinterpret_cast<const sockaddr_in6*>(found.ai_addr)->sin6_addr,
                sizeof out.ipv6.data);
  }
}

std::string numeric(const ccoip_socket_address_t& address) {
  char host[INET6_ADDRSTRLEN] = {};
  const std::string port = std::to_string(address.port);
  if (address.inet.protocol == inetIPv4) {
    inet_ntop(AF_INET, address.inet.ipv4.data, host, sizeof host);
    return std::string(host) + ":" + port;
  }
  inet_ntop(AF_INET6, address.inet.ipv6.data, host, sizeof host);
  return std::string("[") + host + "]:" + port;
}

}  // namespace

ListenAddress resolve(const std::string& text) {
  ListenAddress result;
  const std::optional<HostAndPort> parts = split(text);
  if (!parts) {
    result.error = "'" + text + "' is neither host:port nor [v6 address]:port";
    return result;
  }
  const std::optional<std::uint16_t> port = port_of(parts->port);
  if (!port) {
    result.error = std::string("'").append(parts->port) + "' is not a port from 1 to 65535";
    return result;
  }
  const std::string host(parts->host.empty() ? "0.0.0.0" : parts->host);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  if (const int failed = getaddrinfo(host.c_str(), nullptr, &hints, &list); failed != 0) {
    result.error = "cannot resolve '" + host + "': " + gai_strerror(failed);
    return result;
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(list, freeaddrinfo);
  const addrinfo* chosen = nullptr;
  for (const addrinfo* one = list; one != nullptr; one = one->ai_next) {
    if (one->ai_family != AF_INET && one->ai_family != AF_INET6) continue;
    if (chosen == nullptr || (chosen->ai_family == AF_INET6 && one->ai_family == AF_INET))
      chosen = one;
  }
  if (chosen == nullptr) {
    result.error = "'" + host + "' has no IP address";
    return result;
  }
  take(*chosen, result.address.inet);
  result.address.port = *port;
  result.text = numeric(result.address);
  return result;
}

}  // namespace pccl_tools
