// A Hamiltonian cycle. Paths that do not work are few, so the given order, or one close to it,
// nearly always does: a depth-first search finds the nearest one. Where they are so many that the
// search gets lost, the given order is repaired from place to place instead. Both are bounded; what
// plainly has no ring (somebody without a neighbour, two halves apart) is seen before either
// begins.
#include "plan/ring_search.hpp"

#include <algorithm>

#include "base/rng.hpp"

namespace pccl::plan {

namespace {

using Paths = PathMap;

constexpr std::uint32_t search_budget = 100'000;    // steps
constexpr std::uint32_t repair_budget = 1'000'000;  // moves looked at

// ---- what every ring needs

bool everybody_has_neighbours(const Paths& paths) {
  for (Index me = 0; me < paths.count(); ++me) {
    Index next = 0, previous = 0, either = 0;
    for (Index other = 0; other < paths.count(); ++other) {
      const bool to = paths.passable(me, other), from = paths.passable(other, me);
      next += to;
      previous += from;
      either += to || from;
    }
    if (next == 0 || previous == 0 || (paths.count() > 2 && either < 2)) return false;
  }
  return true;
}

// From the first member, along the paths or against them.
bool all_are_reached(const Paths& paths, bool along) {
  std::vector<bool> reached(paths.count());
  Order frontier{0};
  reached[0] = true;
  std::size_t count = 1;
  while (!frontier.empty()) {
    const Index here = frontier.back();
    frontier.pop_back();
    for (Index there = 0; there < paths.count(); ++there)
      if (!reached[there] && (along ? paths.passable(here, there) : paths.passable(there, here))) {
        reached[there] = true;
        ++count;
        frontier.push_back(there);
      }
  }
  return count == paths.count();
}

// ---- the nearest ring

class Search {
 public:
  explicit Search(const Paths& paths) : paths_(paths) {
    for (Index i = 1; i < paths.count(); ++i) rest_.push_back(i);
  }

  enum class End : std::uint8_t { found, none, lost };
  // Without recursion: a ring may be longer than a stack is deep.
  End run() {
    std::vector<std::size_t> taken;  // the index in rest_ that each member after the first had
    std::size_t index = 0;           // of the candidate in rest_
    for (std::uint32_t steps = 0; steps < search_budget; ++steps) {
      if (rest_.empty() && paths_.passable(ring_.back(), ring_.front())) return End::found;
      if (index < rest_.size()) {
        if (!paths_.passable(ring_.back(), rest_[index])) {
          ++index;
          continue;
        }
        ring_.push_back(rest_[index]);
        rest_.erase(rest_.begin() + static_cast<std::ptrdiff_t>(index));
        taken.push_back(index);
        index = 0;
      } else {
        if (taken.empty()) return End::none;
        index = taken.back();
        taken.pop_back();
        rest_.insert(rest_.begin() + static_cast<std::ptrdiff_t>(index), ring_.back());
        ring_.pop_back();
        ++index;
      }
    }
    return End::lost;
  }
  const Order& ring() const { return ring_; }

 private:
  const Paths& paths_;
  Order ring_{0}, rest_;
};

// ---- a ring by repair: two neighbouring stretches change places wherever that leaves fewer broken
// paths in the ring, or as many; stretches stay as they are, and with them the links that stand.

class Repair {
 public:
  explicit Repair(const Paths& paths) : paths_(paths), rng_(paths.count()) {
    for (Index i = 0; i < paths.count(); ++i) ring_.push_back(i);
  }

  bool succeeds() {
    const auto moves = static_cast<std::uint32_t>(
        std::min<std::size_t>(most_looked_at, 2 * ring_.size() * ring_.size()));
    for (std::uint32_t looked = 0; looked < repair_budget; looked += moves) {
      if (!bring_a_broken_path_to_the_end()) return true;
      improve(moves);
    }
    return !bring_a_broken_path_to_the_end();
  }
  const Order& ring() const { return ring_; }

 private:
  static constexpr std::size_t most_looked_at = 4000;

  int broken(Index from, Index to) const { return paths_.passable(from, to) ? 0 : 1; }

  // Turns the ring so that its last member cannot send to its first; false when all can.
  bool bring_a_broken_path_to_the_end() {
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < ring_.size(); ++i)
      if (broken(ring_[i], ring_[(i + 1) % ring_.size()]) != 0) places.push_back(i + 1);
    if (places.empty()) return false;
    const std::size_t chosen = places[rng_.below(places.size())];
    std::rotate(ring_.begin(), ring_.begin() + static_cast<std::ptrdiff_t>(chosen % ring_.size()),
                ring_.end());
    return true;
  }

  // [0, i) and [i, j) change places; j is below the size, or the ring would be the same.
  void improve(std::uint32_t moves) {
    std::size_t best_i = 0, best_j = 0;
    int best = 3;
    for (std::uint32_t move = 0; move < moves && best >= 0; ++move) {
      const std::size_t i = 1 + rng_.below(ring_.size() - 2);
      const std::size_t j = i + 1 + rng_.below(ring_.size() - i - 1);
      if (broken(ring_.back(), ring_[i]) != 0) continue;
      const int more = broken(ring_[j - 1], ring_[0]) + broken(ring_[i - 1], ring_[j]) - 1 -
                       broken(ring_[i - 1], ring_[i]) - broken(ring_[j - 1], ring_[j]);
      if (more > best || (more == best && rng_.chance(0.9))) continue;
      best = more;
      best_i = i;
      best_j = j;
    }
    if (best == 3) return;
    std::rotate(ring_.begin(), ring_.begin() + static_cast<std::ptrdiff_t>(best_i),
                ring_.begin() + static_cast<std::ptrdiff_t>(best_j));
  }

  const Paths& paths_;
  Rng rng_;  // seeded with the size: the same answer to the same question
  Order ring_;
};

Order from_the_first(Order order) {
  std::rotate(order.begin(), std::find(order.begin(), order.end(), Index{0}), order.end());
  return order;
}

}  // namespace

std::optional<Order> search_ring(const PathMap& paths) {
  if (paths.count() < 2) return Order(paths.count(), Index{0});
  if (!everybody_has_neighbours(paths) || !all_are_reached(paths, true) ||
      !all_are_reached(paths, false))
    return std::nullopt;
  Search search(paths);
  const Search::End end = search.run();
  if (end == Search::End::found) return search.ring();
  if (end == Search::End::none) return std::nullopt;
  Repair repair(paths);
  if (!repair.succeeds()) return std::nullopt;
  return from_the_first(repair.ring());
}

}  // namespace pccl::plan
