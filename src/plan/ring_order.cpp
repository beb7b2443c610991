// A Hamiltonian cycle by depth-first search. Broken paths are few, so the given order, or one close
// to it, nearly always does; the step budget bounds the search where paths are broken in great
// numbers.
#include "plan/ring_order.hpp"

#include <algorithm>
#include <cstddef>

namespace pccl::plan {

namespace {

constexpr std::uint32_t search_budget = 100'000;

class Search {
 public:
  Search(const std::vector<PeerId>& members, const BrokenPaths& broken)
      : rest_(members), broken_(broken) {
    ring_.push_back(rest_.front());
    rest_.erase(rest_.begin());
  }

  // Without recursion: a ring may be longer than a stack is deep.
  bool succeeds() {
    std::vector<std::size_t> taken;  // the index in rest_ that each member after the first had
    std::size_t index = 0;           // of the candidate in rest_
    for (std::uint32_t steps = 0; steps < search_budget; ++steps) {
      if (rest_.empty() && closes()) return true;
      if (index < rest_.size()) {
        if (!passable(ring_.back(), rest_[index])) {
          ++index;
          continue;
        }
        ring_.push_back(rest_[index]);
        rest_.erase(rest_.begin() + static_cast<std::ptrdiff_t>(index));
        taken.push_back(index);
        index = 0;
      } else {
        if (taken.empty()) return false;
        index = taken.back();
        taken.pop_back();
        rest_.insert(rest_.begin() + static_cast<std::ptrdiff_t>(index), ring_.back());
        ring_.pop_back();
        ++index;
      }
    }
    return false;
  }

  const std::vector<PeerId>& ring() const { return ring_; }

 private:
  bool closes() const { return ring_.size() == 1 || passable(ring_.back(), ring_.front()); }
  bool passable(const PeerId& from, const PeerId& to) const {
    return !broken_.contains({from, to});
  }

  std::vector<PeerId> ring_, rest_;
  const BrokenPaths& broken_;
};

}  // namespace

std::optional<std::vector<PeerId>> ring_order(const std::vector<PeerId>& members,
                                              const BrokenPaths& broken) {
  if (members.empty()) return std::vector<PeerId>{};
  Search search(members, broken);
  if (!search.succeeds()) return std::nullopt;
  return search.ring();
}

}  // namespace pccl::plan
