// The digest of some bytes: equal bytes, equal digests; different bytes, different digests in all
// likelihood. No defence against whoever looks for collisions.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>

namespace pccl {

struct Digest {
  std::array<std::uint8_t, 16> octets{};
  constexpr auto operator<=>(const Digest&) const = default;
};

std::string to_string(const Digest& digest);   // 32 hexadecimal digits
std::string short_name(const Digest& digest);  // the first 8 of them, for logs and errors

}  // namespace pccl
