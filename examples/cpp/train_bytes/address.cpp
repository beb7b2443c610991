#include "address.hpp"

#include <ccoip.h>
#include <netdb.h>
#include <netinet/in.h>

#include <charconv>
#include <cstring>
#include <memory>
#include <stdexcept>

namespace train_bytes {
namespace {

struct HostAndPort {
  std::string host;
  std::uint16_t port = CCOIP_PROTOCOL_PORT_MASTER;
};

std::uint16_t parse_port(const std::string& text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size() || port == 0) {
    throw std::runtime_error("not a port: '" + text + "'");
  }
  return port;
}

HostAndPort split(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (text.starts_with('[')) {  // [IPv6] or [IPv6]:port
    const std::size_t bracket = text.find(']');
    if (bracket == std::string::npos) throw std::runtime_error("missing ']' in " + text);
    const std::string host = text.substr(1, bracket - 1);
    if (bracket + 1 == text.size()) return {.host = host};
    if (colon != bracket + 1) throw std::runtime_error("expected ':port' after ']' in " + text);
    return {.host = host, .port = parse_port(text.substr(colon + 1))};
  }
  const bool bare_ipv6 = colon != std::string::npos && text.find(':') != colon;
  if (colon == std::string::npos || bare_ipv6) return {.host = text};
  return {.host = text.substr(0, colon), .port = parse_port(text.substr(colon + 1))};
}

ccoip_socket_address_t to_pccl(const sockaddr* address, std::uint16_t port) {
  ccoip_socket_address_t out{};
  out.port = port;
  if (address->sa_family == AF_INET6) {
    sockaddr_in6 ipv6;
    std::memcpy(&ipv6, address, sizeof ipv6);
    out.inet.protocol = inetIPv6;
    std::memcpy(out.inet.ipv6.data, &ipv6.sin6_addr, sizeof out.inet.ipv6.data);
  } else {
    sockaddr_in ipv4;
    std::memcpy(&ipv4, address, sizeof ipv4);
    out.inet.protocol = inetIPv4;
    std::memcpy(out.inet.ipv4.data, &ipv4.sin_addr, sizeof out.inet.ipv4.data);
  }
  return out;
}

}  // namespace

std::vector<ccoip_socket_address_t> resolve(const std::string& host_and_port) {
  const auto [host, port] = split(host_and_port);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.c_str(), nullptr, &hints, &found); error != 0) {
    throw std::runtime_error("cannot resolve '" + host + "': " + gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, freeaddrinfo);

  std::vector<ccoip_socket_address_t> addresses;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    if (entry->ai_family != AF_INET && entry->ai_family != AF_INET6) continue;
    addresses.push_back(to_pccl(entry->ai_addr, port));
  }
  if (addresses.empty()) throw std::runtime_error("no usable address for '" + host + "'");
  return addresses;
}

}  // namespace train_bytes
