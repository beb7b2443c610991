#include "base/ids.hpp"

#include <fmt/format.h>

namespace pccl {

std::string to_string(const PeerId& peer) {
  return fmt::format("{:016x}{:016x}", peer.high, peer.low);
}

std::string short_name(const PeerId& peer) {
  return fmt::format("{:08x}", peer.high >> 32);
}

std::string to_string(const OpKey& key) {
  return fmt::format("tag {} (launch {}, epoch {})", key.tag.value, key.launch.value,
                     key.epoch.value);
}

}  // namespace pccl
