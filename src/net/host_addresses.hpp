// Which addresses are this machine's own.
#pragma once

#include "base/endpoint.hpp"

namespace pccl::net {

// It is one of an interface in this process's network namespace, or a loopback address: whoever is
// reached there runs under the same kernel.
bool is_of_this_host(const IpAddress& address);

}  // namespace pccl::net
