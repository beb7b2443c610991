// Segments that came before the application launched their op here: kept within a budget until it
// does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "base/ids.hpp"

namespace pccl::collective {

class ParkedSegments {
 public:
  // `budget`: of their eager_cost() (base/limits.hpp) together.
  explicit ParkedSegments(std::size_t budget) : budget_(budget) {}

  // False: over the budget, which a peer that keeps the protocol cannot reach. Where the budget is
  // short, those of older epochs make room: their ops are void where a newer one comes from.
  bool expect(const OpKey& op, std::uint32_t position, std::uint32_t length);
  std::span<std::byte> destination(const OpKey& op, std::uint32_t position);  // empty: not parked
  bool contains(const OpKey& op, std::uint32_t position) const {
    return parked_.contains({op, position});
  }
  void arrived(const OpKey& op, std::uint32_t position);

  // Hands each whole segment of the op to `deliver`, in order of position, and forgets it.
  void take(const OpKey& op,
            const std::function<void(std::uint32_t, std::span<const std::byte>)>& deliver);

  void drop(const OpKey& op);
  void drop_before(Epoch epoch);
  std::size_t bytes() const { return bytes_; }

 private:
  struct Segment {
    std::vector<std::byte> bytes;
    bool whole = false;
  };
  using Parked = std::map<std::pair<OpKey, std::uint32_t>, Segment>;
  Parked::iterator erase(Parked::iterator segment);

  std::size_t budget_;
  Parked parked_;
  std::size_t bytes_ = 0;
};

}  // namespace pccl::collective
