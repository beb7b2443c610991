// What a peer wants of a sync of the shared state.
#pragma once

#include <cstdint>

namespace pccl {

enum class SyncStrategy : std::uint8_t {
  enforce_popular = 0,  // whatever most peers hold
  receive_only = 1,     // what the others hold
  send_only = 2,        // nothing but what this peer holds
};
inline constexpr std::uint8_t sync_strategy_count = 3;

}  // namespace pccl
