#include "shared_state/wanted_blocks.hpp"

#include "base/status.hpp"

namespace pccl::shared_state {

WantedBlocks::WantedBlocks(const BlockMap& map, std::span<const Digest> own,
                           std::span<const Digest> elected)
    : map_(map), state_(map.blocks()) {
  PCCL_INVARIANT(own.size() == map.blocks() && elected.size() == map.blocks());
  for (std::uint32_t block = 0; block < map.blocks(); ++block) {
    if (own[block] == elected[block]) continue;
    state_[block] = wanted_bit;
    ++missing_;
    bytes_wanted_ += map.length(block);
  }
  skip_unwanted();
}

void WantedBlocks::skip_unwanted() {
  while (next_ < map_.blocks() && (state_[next_] & wanted_bit) == 0) ++next_;
}

std::optional<std::uint32_t> WantedBlocks::first_unasked() const {
  if (!returned_.empty()) return *returned_.begin();
  if (next_ < map_.blocks()) return next_;
  return std::nullopt;
}

void WantedBlocks::asked(std::uint32_t block) {
  PCCL_INVARIANT(askers(block) < askers_at_most);
  ++state_[block];
  if (block == next_) {
    ++next_;
    skip_unwanted();
  } else {
    returned_.erase(block);
  }
}

void WantedBlocks::given_up(std::uint32_t block) {
  PCCL_INVARIANT(askers(block) > 0);
  --state_[block];
  if (askers(block) == 0 && !verified(block)) returned_.insert(block);
}

void WantedBlocks::verify(std::uint32_t block) {
  PCCL_INVARIANT(!verified(block));
  state_[block] |= verified_bit;
  --missing_;
  bytes_verified_ += map_.length(block);
}

std::vector<std::uint32_t> WantedBlocks::incomplete_tensors() const {
  std::vector<std::uint32_t> incomplete;
  // Of a large tensor, whose blocks are consecutive; a packed block changes as a whole.
  bool changed = false, lacking = false;
  std::optional<std::uint32_t> current;
  const auto close = [&] {
    if (current && changed && lacking) incomplete.push_back(*current);
    changed = lacking = false;
  };
  for (std::uint32_t block = 0; block < map_.blocks(); ++block) {
    const auto piece = map_.only_piece(block);
    if (!piece) continue;
    if (current != piece->tensor) close();
    current = piece->tensor;
    if ((state_[block] & wanted_bit) == 0) continue;
    changed |= verified(block) || (state_[block] & touched_bit) != 0;
    lacking |= !verified(block);
  }
  close();
  return incomplete;
}

}  // namespace pccl::shared_state
