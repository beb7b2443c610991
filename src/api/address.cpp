#include "api/address.hpp"

#include <algorithm>

#include "api/enums.hpp"

namespace pccl::api {

std::optional<Endpoint> endpoint_of(const ccoip_socket_address_t& address) {
  Endpoint endpoint;
  endpoint.port = address.port;
  switch (raw(address.inet.protocol)) {
    case inetIPv4:
      std::ranges::copy(address.inet.ipv4.data, endpoint.address.octets.begin());
      return endpoint;
    case inetIPv6:
      endpoint.address.v6 = true;
      std::ranges::copy(address.inet.ipv6.data, endpoint.address.octets.begin());
      return endpoint;
    default:
      return std::nullopt;
  }
}

}  // namespace pccl::api
