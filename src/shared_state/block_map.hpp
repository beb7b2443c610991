// How a state's bytes are cut into blocks, the unit that is compared and fetched: a pure function
// of the tensors' sizes, so that peers with the same tensors cut alike.
//
//   tensors  | a ----------------------- | b | c  | d - | e ----- |      b, c and d are small
//   blocks   |   0   |   1   |   2   | 3 | 4      | 5   |   6 | 7 |
//
// A tensor of a block's length or more has blocks of its own, the last of them shorter. Consecutive
// smaller tensors are packed into a block as long as the whole next one fits: ten thousand tiny
// tensors cost as much as one large. An empty tensor takes part in nothing.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/limits.hpp"

namespace pccl::shared_state {

// Bytes [offset, offset + length) of a tensor.
struct Piece {
  std::uint32_t tensor = 0;
  std::uint64_t offset = 0;
  std::uint32_t length = 0;
};

class BlockMap {
 public:
  BlockMap() = default;  // of no bytes at all
  // Into blocks of this size, or of a multiple that leaves no more of them than base/limits.hpp
  // allows; the same on all peers. Nothing, and a reason: there are too many tensors or bytes.
  static std::optional<BlockMap> cut(
      std::span<const std::uint64_t> tensor_bytes, std::string& why,
      std::uint32_t smallest_block_bytes = limits::smallest_state_block_bytes);

  std::uint32_t blocks() const { return blocks_; }
  std::uint32_t block_bytes() const { return block_bytes_; }  // of the longest possible block
  std::uint64_t total_bytes() const { return runs_.back().start; }
  std::uint32_t length(std::uint32_t block) const;

  // The one tensor that the block is made of, or nothing where several are packed.
  std::optional<Piece> only_piece(std::uint32_t block) const;
  // The pieces that bytes [offset, offset + length) of the block are made of, in order.
  template <typename Visit>
  void for_each_piece(std::uint32_t block, std::uint32_t offset, std::uint32_t length,
                      Visit visit) const;
  template <typename Visit>
  void for_each_piece(std::uint32_t block, Visit visit) const {
    for_each_piece(block, 0, length(block), visit);
  }

 private:
  // A tensor that is not empty. Where it ends the next one starts, both in bytes and in blocks:
  // this, and no list of pieces, is all the memory that a map takes.
  struct Run {
    std::uint64_t start = 0;  // bytes of all tensors before it
    std::uint32_t first_block = 0;
    std::uint32_t tensor = 0;
  };
  struct Part {  // of the runs: what a block is made of
    const Run* first;
    const Run* last;           // one past
    std::uint64_t start, end;  // in bytes of all tensors
  };
  Part part(std::uint32_t block) const;

  std::uint32_t blocks_ = 0;
  std::uint32_t block_bytes_ = limits::smallest_state_block_bytes;
  std::vector<Run> runs_ = {Run{}};  // the last one is the end of all
};

template <typename Visit>
void BlockMap::for_each_piece(std::uint32_t block, std::uint32_t offset, std::uint32_t length,
                              Visit visit) const {
  const Part whole = part(block);
  std::uint64_t at = whole.start + offset;
  const std::uint64_t end = std::min(whole.end, at + length);
  const Run* run = std::upper_bound(
      whole.first, whole.last, at, [](std::uint64_t byte, const Run& r) { return byte < r.start; });
  for (--run; at < end; ++run) {
    const std::uint64_t until = std::min(end, run[1].start);
    visit(Piece{run->tensor, at - run->start, static_cast<std::uint32_t>(until - at)});
    at = until;
  }
}

}  // namespace pccl::shared_state
