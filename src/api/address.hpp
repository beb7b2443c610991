#pragma once

#include <optional>

#include "base/endpoint.hpp"
#include "ccoip_inet.h"

namespace pccl::api {

// nullopt: a protocol that is neither inetIPv4 nor inetIPv6.
std::optional<Endpoint> endpoint_of(const ccoip_socket_address_t& address);

}  // namespace pccl::api
