#pragma once

#include <pccl.h>

#include <string>

namespace pccl_tools {

struct ListenAddress {
  ccoip_socket_address_t address{};
  std::string text;   // numeric: 0.0.0.0:48148, [::1]:48148
  std::string error;  // why there is no address; empty when there is one
};

// "host:port", "[v6 address]:port", or one of the two without the port. The host may be a name; of
// a name with addresses of both kinds the IPv4 one is taken, which is what peers given the same
// name expect.
ListenAddress resolve(const std::string& text);

}  // namespace pccl_tools
