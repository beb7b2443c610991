// A shared state as a sync needs it: where its bytes are, how they are cut, and what they are.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/digest.hpp"
#include "node/peer_requests.hpp"
#include "shared_state/block_map.hpp"
#include "shared_state/digest_state.hpp"
#include "shared_state/state_view.hpp"
#include "wire/messages.hpp"

namespace pccl::node {

struct PreparedState {
  std::vector<wire::StateEntry> entries;          // all of them
  std::vector<std::size_t> entry_of;              // of each tensor: its index among the entries
  std::vector<shared_state::TensorView> tensors;  // those that must be equal
  shared_state::BlockMap map;
  shared_state::StateDigest digest;
  Digest keys;  // of the entries
};

// Reads every tensor once, with several threads where that pays. What GPUs had to write into them
// has been written.
Outcome prepare(const std::vector<StateEntry>& entries, PreparedState& prepared);

// The same tensors with other bytes: reads them again.
Outcome read_again(PreparedState& prepared);

// A sync that broke off may leave blocks of two contents: that is nobody's state, and a peer does
// not offer it as one until the application has changed it.
class Mixture {
 public:
  bool is(const Digest& content) {
    if (std::exchange(unread_, false)) left_ = content;
    return content == left_;
  }
  void none() { *this = {}; }
  // Reads the tensors again. False if every bit is as it was: a block that was on its way may have
  // brought no other bytes so far. True where they cannot be read, either: then it is what is read
  // next.
  bool broke_off(PreparedState& state);

 private:
  std::optional<Digest> left_;
  bool unread_ = false;
};

}  // namespace pccl::node
