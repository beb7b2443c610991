#include "base/endpoint.hpp"

#include <arpa/inet.h>

#include <algorithm>

namespace pccl {

bool IpAddress::is_loopback() const {
  if (!v6) return octets[0] == 127;
  return octets[15] == 1 &&
         std::all_of(octets.begin(), octets.end() - 1, [](auto o) { return o == 0; });
}

std::string to_string(const IpAddress& address) {
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(address.v6 ? AF_INET6 : AF_INET, address.octets.data(), text, sizeof text);
  return text;
}

std::string to_string(const Endpoint& endpoint) {
  const std::string host = to_string(endpoint.address);
  return (endpoint.address.v6 ? "[" + host + "]" : host) + ":" + std::to_string(endpoint.port);
}

}  // namespace pccl
