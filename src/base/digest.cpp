#include "base/digest.hpp"

#include <fmt/format.h>

namespace pccl {

std::string to_string(const Digest& digest) {
  std::string text;
  for (const std::uint8_t octet : digest.octets) text += fmt::format("{:02x}", octet);
  return text;
}

std::string short_name(const Digest& digest) {
  return to_string(digest).substr(0, 8);
}

}  // namespace pccl
