// What a state's bytes are, in 16 bytes per block and 16 for all of it.
#pragma once

#include <span>
#include <vector>

#include "base/digest.hpp"
#include "shared_state/block_map.hpp"
#include "shared_state/state_view.hpp"

namespace pccl::shared_state {

struct StateDigest {
  std::vector<Digest> blocks;
  Digest content;  // what the peers elect
};

// Reads the whole state once, with up to `threads` threads, the caller's among them, and on the
// GPUs that tensors lie on at the same time. A small state is not worth a thread. Throws
// device::Error.
StateDigest digest_state(StateView state, const BlockMap& map, unsigned threads);

// Of the number of blocks, their size, and the list.
Digest content_digest(const BlockMap& map, std::span<const Digest> blocks);

}  // namespace pccl::shared_state
