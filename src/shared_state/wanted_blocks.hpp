// What is known of each block of a state that is being fetched: whether it differs from the elected
// one, who has been asked for it, whether it is here. A byte per block.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "base/digest.hpp"
#include "shared_state/block_map.hpp"

namespace pccl::shared_state {

class WantedBlocks {
 public:
  WantedBlocks(const BlockMap& map, std::span<const Digest> own, std::span<const Digest> elected);

  // A block may be owed by two holders at a time.
  static constexpr unsigned askers_at_most = 2;

  // The lowest block that is wanted and that nobody owes.
  std::optional<std::uint32_t> first_unasked() const;
  void asked(std::uint32_t block);
  void given_up(std::uint32_t block);  // one holder less owes it
  unsigned askers(std::uint32_t block) const { return state_[block] & askers_mask; }

  bool verified(std::uint32_t block) const { return (state_[block] & verified_bit) != 0; }
  void verify(std::uint32_t block);
  bool all_verified() const { return missing_ == 0; }

  // The user's memory of a block has one writer at a time.
  bool being_written(std::uint32_t block) const { return (state_[block] & writer_bit) != 0; }
  void writer_begins(std::uint32_t block) { state_[block] |= writer_bit; }
  void writer_ends(std::uint32_t block) { state_[block] &= static_cast<std::uint8_t>(~writer_bit); }
  // The user's memory of it may have changed.
  void touched(std::uint32_t block) {
    state_[block] |= touched_bit;
    any_touched_ = true;
  }
  // The user's memory of any of them may have.
  bool any_changed() const { return any_touched_ || bytes_verified_ > 0; }

  std::uint64_t bytes_wanted() const { return bytes_wanted_; }
  std::uint64_t bytes_verified() const { return bytes_verified_; }
  // Tensors that are neither what they were nor what was elected, lowest first.
  std::vector<std::uint32_t> incomplete_tensors() const;

 private:
  static constexpr std::uint8_t askers_mask = 3, wanted_bit = 4, verified_bit = 8, writer_bit = 16,
                                touched_bit = 32;
  void skip_unwanted();

  const BlockMap& map_;
  std::vector<std::uint8_t> state_;
  std::uint32_t next_ = 0;            // of the blocks not yet asked for at all
  std::set<std::uint32_t> returned_;  // owed by somebody once, and by nobody now
  std::uint32_t missing_ = 0;
  bool any_touched_ = false;
  std::uint64_t bytes_wanted_ = 0;
  std::uint64_t bytes_verified_ = 0;
};

}  // namespace pccl::shared_state
