#include "net/host_addresses.hpp"

#include <ifaddrs.h>

#include <cstring>
#include <memory>

#include "net/socket_address.hpp"

namespace pccl::net {

bool is_of_this_host(const IpAddress& address) {
  if (address.is_loopback()) return true;
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) != 0) return false;
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> all(first, &::freeifaddrs);
  for (const ifaddrs* entry = first; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr) continue;
    const int family = entry->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    SocketAddress own;
    std::memcpy(&own.storage, entry->ifa_addr,
                family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
    if (own.endpoint().address == address) return true;
  }
  return false;
}

}  // namespace pccl::net
