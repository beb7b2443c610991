// What all peers do at a step of the run: everything follows from the run's seed and the step, and
// a newcomer learns the step from the shared state. How a peer does it may be a matter of its own.
#pragma once

#include <pccl.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace chaos {

inline constexpr std::size_t slots = 10;  // peers at a time

struct Op {
  std::uint64_t step = 0;
  std::uint32_t index = 0;
  std::uint64_t tag = 0;
  std::size_t count = 0;
  pcclDataType_t type = pcclFloat;
  pcclRedOp_t op = pcclSum;

  std::size_t bytes() const;
};

// How one peer makes its calls. That is its own business, as are in-place buffers and the order of
// launches: the first op that is not done is in flight in each mode.
enum class Mode { blocking, async, many_with_retry };

struct Round {
  std::vector<Op> ops;
  bool update_at_once = false;   // rather than asking first whether anybody is pending
  bool sync_after_loss = false;  // start over at the sync, rather than retry at once
};

Round round_of(std::uint64_t run_seed, std::uint64_t step, std::size_t largest_bytes);

}  // namespace chaos
