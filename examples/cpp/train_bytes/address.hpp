// Where the master listens, from "host:port" to the addresses the library takes.
#pragma once

#include <pccl.h>

#include <string>
#include <vector>

namespace train_bytes {

// "127.0.0.1:48148", "master.example.org:48148" or "[::1]:48148"; without a port the default one.
// All addresses of a name, IPv4 and IPv6, in the order the system prefers. Throws
// std::runtime_error.
std::vector<ccoip_socket_address_t> resolve(const std::string& host_and_port);

}  // namespace train_bytes
