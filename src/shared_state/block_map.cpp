#include "shared_state/block_map.hpp"

#include <fmt/format.h>

#include "base/status.hpp"

namespace pccl::shared_state {

namespace {

// The packing rule, tensor by tensor: which block a tensor starts in.
class Packer {
 public:
  explicit Packer(std::uint64_t block_bytes) : block_bytes_(block_bytes) {}

  std::uint64_t place(std::uint64_t bytes) {
    if (bytes >= block_bytes_) {
      open_bytes_ = 0;
      const std::uint64_t first = blocks_;
      blocks_ += (bytes - 1) / block_bytes_ + 1;
      return first;
    }
    if (open_bytes_ == 0 || open_bytes_ + bytes > block_bytes_) {
      ++blocks_;
      open_bytes_ = 0;
    }
    open_bytes_ += bytes;
    return blocks_ - 1;
  }
  std::uint64_t blocks() const { return blocks_; }

 private:
  std::uint64_t block_bytes_;
  std::uint64_t blocks_ = 0;
  std::uint64_t open_bytes_ = 0;  // in the last block, when tensors are being packed into it
};

std::uint64_t blocks_of(std::span<const std::uint64_t> tensor_bytes, std::uint64_t block_bytes) {
  Packer packer(block_bytes);
  for (const std::uint64_t bytes : tensor_bytes)
    if (bytes > 0) packer.place(bytes);
  return packer.blocks();
}

}  // namespace

std::optional<BlockMap> BlockMap::cut(std::span<const std::uint64_t> tensor_bytes, std::string& why,
                                      std::uint32_t smallest_block_bytes) {
  PCCL_INVARIANT(smallest_block_bytes > 0);
  if (tensor_bytes.size() > limits::state_entries) {
    why = fmt::format("{} tensors are more than {}", tensor_bytes.size(), limits::state_entries);
    return std::nullopt;
  }
  constexpr std::uint64_t most = std::uint64_t{limits::state_block_bytes} * limits::state_blocks;
  std::uint64_t total = 0;
  for (const std::uint64_t bytes : tensor_bytes) {
    if (bytes > most - total) {
      why = fmt::format("a state of more than {} bytes", most);
      return std::nullopt;
    }
    total += bytes;
  }

  std::uint64_t block_bytes = smallest_block_bytes;
  while (blocks_of(tensor_bytes, block_bytes) > limits::state_blocks) block_bytes *= 2;
  if (block_bytes > limits::state_block_bytes) {
    why = fmt::format("a state of {} bytes in {} tensors has more than {} blocks", total,
                      tensor_bytes.size(), limits::state_blocks);
    return std::nullopt;
  }

  BlockMap map;
  map.block_bytes_ = static_cast<std::uint32_t>(block_bytes);
  map.runs_.clear();
  map.runs_.reserve(tensor_bytes.size() + 1);
  Packer packer(block_bytes);
  std::uint64_t start = 0;
  for (std::uint32_t tensor = 0; tensor < tensor_bytes.size(); ++tensor) {
    if (tensor_bytes[tensor] == 0) continue;
    const auto block = static_cast<std::uint32_t>(packer.place(tensor_bytes[tensor]));
    map.runs_.push_back({start, block, tensor});
    start += tensor_bytes[tensor];
  }
  map.blocks_ = static_cast<std::uint32_t>(packer.blocks());
  map.runs_.push_back({start, map.blocks_, 0});
  return map;
}

BlockMap::Part BlockMap::part(std::uint32_t block) const {
  PCCL_INVARIANT(block < blocks_);
  const Run* const runs = runs_.data();
  const Run* const end = runs + runs_.size() - 1;
  const Run* first = std::lower_bound(
      runs, end, block, [](const Run& r, std::uint32_t b) { return r.first_block < b; });
  if (first == end || first->first_block != block) --first;  // a later block of a large tensor
  const Run* last = first + 1;
  if (first->first_block == block)
    last = std::upper_bound(last, end, block,
                            [](std::uint32_t b, const Run& r) { return b < r.first_block; });
  const std::uint64_t start =
      first->start + std::uint64_t{block - first->first_block} * block_bytes_;
  return {first, last, start, std::min(last->start, start + block_bytes_)};
}

std::uint32_t BlockMap::length(std::uint32_t block) const {
  const Part whole = part(block);
  return static_cast<std::uint32_t>(whole.end - whole.start);
}

std::optional<Piece> BlockMap::only_piece(std::uint32_t block) const {
  const Part whole = part(block);
  if (whole.last - whole.first != 1) return std::nullopt;
  return Piece{whole.first->tensor, whole.start - whole.first->start,
               static_cast<std::uint32_t>(whole.end - whole.start)};
}

}  // namespace pccl::shared_state
