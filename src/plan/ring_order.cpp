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

  bool extend() {
    if (rest_.empty()) return ring_.size() == 1 || passable(ring_.back(), ring_.front());
    for (std::size_t index = 0; index < rest_.size(); ++index) {
      if (steps_++ > search_budget) return false;
      const PeerId candidate = rest_[index];
      if (!passable(ring_.back(), candidate)) continue;
      rest_.erase(rest_.begin() + static_cast<std::ptrdiff_t>(index));
      ring_.push_back(candidate);
      if (extend()) return true;
      ring_.pop_back();
      rest_.insert(rest_.begin() + static_cast<std::ptrdiff_t>(index), candidate);
    }
    return false;
  }

  const std::vector<PeerId>& ring() const { return ring_; }

 private:
  bool passable(const PeerId& from, const PeerId& to) const {
    return !broken_.contains({from, to});
  }

  std::vector<PeerId> ring_, rest_;
  const BrokenPaths& broken_;
  std::uint32_t steps_ = 0;
};

}  // namespace

std::optional<std::vector<PeerId>> ring_order(const std::vector<PeerId>& members,
                                              const BrokenPaths& broken) {
  if (members.empty()) return std::vector<PeerId>{};
  Search search(members, broken);
  if (!search.extend()) return std::nullopt;
  return search.ring();
}

}  // namespace pccl::plan
