// Whose segment goes next among the ops that have one. The op with the fewest bytes left: a small
// op passes a large one by. Every eighth segment is of the op with the most bytes left, which
// so moves on however many small ones come.
#pragma once

#include <cstdint>
#include <iterator>
#include <set>
#include <utility>

#include "base/ids.hpp"

namespace pccl::collective {

class SendQueue {
 public:
  bool empty() const { return waiting_.empty(); }
  void clear() { waiting_.clear(); }

  void put(const OpKey& op, std::uint64_t bytes_left) { waiting_.emplace(bytes_left, op); }

  OpKey take() {  // of a queue that is not empty
    taken_ = (taken_ + 1) % one_of;
    const auto next = taken_ == 0 ? std::prev(waiting_.end()) : waiting_.begin();
    return waiting_.extract(next).value().second;
  }

 private:
  static constexpr std::uint32_t one_of = 8;

  std::set<std::pair<std::uint64_t, OpKey>> waiting_;
  std::uint32_t taken_ = 0;
};

}  // namespace pccl::collective
