#include "address.hpp"

#include <arpa/inet.h>

#include <stdexcept>

namespace pccl_python {

ccoip_socket_address_t socket_address(const std::string& ip, std::uint16_t port) {
  ccoip_socket_address_t address{};
  address.port = port;
  address.inet.protocol = inetIPv4;
  if (inet_pton(AF_INET, ip.c_str(), address.inet.ipv4.data) == 1) return address;
  address.inet.protocol = inetIPv6;
  if (inet_pton(AF_INET6, ip.c_str(), address.inet.ipv6.data) == 1) return address;
  throw std::invalid_argument("not an IP address: '" + ip + "'");
}

}  // namespace pccl_python
