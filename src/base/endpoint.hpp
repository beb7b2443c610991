// An address and a port, with no socket library behind it.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>

namespace pccl {

// An IPv4 address is stored in the first four octets, the others zero.
struct IpAddress {
  bool v6 = false;
  std::array<std::uint8_t, 16> octets{};
  auto operator<=>(const IpAddress&) const = default;

  bool is_loopback() const;
};

struct Endpoint {
  IpAddress address;
  std::uint16_t port = 0;
  auto operator<=>(const Endpoint&) const = default;
};

std::string to_string(const IpAddress& address);
std::string to_string(const Endpoint& endpoint);  // 10.1.2.3:48150, [::1]:48150

}  // namespace pccl
