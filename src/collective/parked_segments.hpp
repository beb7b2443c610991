// Segments that came before the application launched their op here: kept within a budget until it
// does. Long ones lie in blocks of the op's own scratch, which it can take over as they are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <utility>

#include "base/ids.hpp"
#include "collective/block_pool.hpp"

namespace pccl::collective {

class ParkedSegments {
 public:
  // `budget`: of their eager_cost() (base/limits.hpp) together.
  ParkedSegments(std::size_t budget, BlockPool& scratch) : budget_(budget), scratch_(scratch) {}

  // False: over the budget, which a peer that keeps the protocol cannot reach. Where the budget is
  // short, those of older epochs make room: their ops are void where a newer one comes from.
  bool expect(const OpKey& op, std::uint32_t position, std::uint32_t length);
  std::span<std::byte> destination(const OpKey& op, std::uint32_t position);  // empty: not parked
  bool contains(const OpKey& op, std::uint32_t position) const {
    return parked_.contains({op, position});
  }
  bool holds(const OpKey& op) const {  // a segment of it, whole or half-way
    const auto first = parked_.lower_bound({op, 0});
    return first != parked_.end() && first->first.first == op;
  }
  void arrived(const OpKey& op, std::uint32_t position);

  // Hands each whole segment of the op to `deliver`, in order of position, and forgets it. Its
  // block, where it has one, is there to be moved away.
  using Deliver = std::function<void(std::uint32_t, std::span<const std::byte>, BlockPool::Block&)>;
  void take(const OpKey& op, const Deliver& deliver);

  void drop(const OpKey& op);
  void drop_before(Epoch epoch);
  std::size_t bytes() const { return bytes_; }

 private:
  struct Segment {
    std::uint32_t length = 0;
    BlockPool::Block block;
    std::unique_ptr<std::byte[]> bytes;  // where a block would be much too long
    bool whole = false;

    std::span<std::byte> content() const { return {block ? block.data() : bytes.get(), length}; }
  };
  using Parked = std::map<std::pair<OpKey, std::uint32_t>, Segment>;
  Parked::iterator erase(Parked::iterator segment);

  std::size_t budget_;
  BlockPool& scratch_;
  Parked parked_;
  std::size_t bytes_ = 0;
};

}  // namespace pccl::collective
