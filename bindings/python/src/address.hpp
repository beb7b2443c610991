// "127.0.0.1", 48148 as the C interface wants it.
#pragma once

#include <pccl.h>

#include <cstdint>
#include <string>

namespace pccl_python {

// Throws std::invalid_argument for what is not a literal IPv4 or IPv6 address.
ccoip_socket_address_t socket_address(const std::string& ip, std::uint16_t port);

}  // namespace pccl_python
