// A Hamiltonian cycle. Broken paths are few, so the given order, or one close to it, nearly always
// does: a depth-first search finds the nearest one. Where paths are broken in such numbers that the
// search gets lost, the given order is repaired from place to place instead. Both are bounded; what
// plainly has no ring (somebody without a neighbour, two halves apart) is seen before either
// begins.
#include "plan/ring_order.hpp"

#include <algorithm>
#include <cstddef>
#include <map>

#include "base/rng.hpp"

namespace pccl::plan {

namespace {

using Index = std::uint32_t;  // of a member in the given order
using Order = std::vector<Index>;

constexpr std::uint32_t search_budget = 100'000;    // steps
constexpr std::uint32_t repair_budget = 1'000'000;  // moves looked at

// Who can send to whom, asked some hundred thousand times.
class Paths {
 public:
  Paths(const std::vector<PeerId>& members, const BrokenPaths& broken)
      : count_(members.size()), broken_(count_ * count_) {
    std::vector<std::pair<PeerId, Index>> index;
    for (Index i = 0; i < count_; ++i) index.emplace_back(members[i], i);
    std::sort(index.begin(), index.end());
    const auto index_of = [&](PeerId id) {
      const auto at = std::lower_bound(index.begin(), index.end(), std::pair{id, Index{0}});
      return at != index.end() && at->first == id ? at->second : static_cast<Index>(count_);
    };
    for (const auto& [from, to] : broken)
      if (const Index a = index_of(from), b = index_of(to); a < count_ && b < count_)
        broken_[a * count_ + b] = true;
  }
  Index count() const { return static_cast<Index>(count_); }
  bool passable(Index from, Index to) const { return from != to && !broken_[from * count_ + to]; }

 private:
  std::size_t count_;
  std::vector<bool> broken_;
};

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

std::vector<PeerId> ring_of(const Order& order, const std::vector<PeerId>& members) {
  std::vector<PeerId> ring;
  const auto first = std::find(order.begin(), order.end(), Index{0});
  for (std::size_t i = 0; i < order.size(); ++i)
    ring.push_back(
        members[order[(static_cast<std::size_t>(first - order.begin()) + i) % order.size()]]);
  return ring;
}

bool avoids(const std::vector<PeerId>& ring, const BrokenPaths& broken) {
  for (std::size_t rank = 0; rank < ring.size() && ring.size() > 1; ++rank)
    if (broken.contains({ring[rank], ring[(rank + 1) % ring.size()]})) return false;
  return true;
}

}  // namespace

std::optional<std::vector<PeerId>> ring_order(const std::vector<PeerId>& members,
                                              const BrokenPaths& broken) {
  if (avoids(members, broken)) return members;
  const Paths paths(members, broken);
  if (!everybody_has_neighbours(paths) || !all_are_reached(paths, true) ||
      !all_are_reached(paths, false))
    return std::nullopt;
  Search search(paths);
  const Search::End end = search.run();
  if (end == Search::End::found) return ring_of(search.ring(), members);
  if (end == Search::End::none) return std::nullopt;
  Repair repair(paths);
  if (!repair.succeeds()) return std::nullopt;
  return ring_of(repair.ring(), members);
}

namespace {

std::vector<PeerId> without(std::vector<PeerId> members, const std::vector<PeerId>& out) {
  std::erase_if(members,
                [&](PeerId id) { return std::find(out.begin(), out.end(), id) != out.end(); });
  return members;
}

// Rings asked for at most before the search for the very fewest ends.
constexpr std::size_t leave_out_tries = 100;
constexpr std::size_t leave_out_members = 256;  // larger groups are not searched, only thinned out

// How many others each member has a broken path with, one way or the other.
std::map<PeerId, std::size_t> broken_neighbours(const std::vector<PeerId>& members,
                                                const BrokenPaths& broken) {
  std::map<PeerId, std::size_t> count;
  const std::set<PeerId> known(members.begin(), members.end());
  for (const auto& [from, to] : broken) {
    if (!known.contains(from) || !known.contains(to)) continue;
    if (to < from && broken.contains({to, from})) continue;  // counted the other way round
    ++count[from];
    ++count[to];
  }
  return count;
}

}  // namespace

std::vector<PeerId> leave_out(const std::vector<PeerId>& members, const BrokenPaths& broken,
                              const std::vector<PeerId>& may_go) {
  std::vector<PeerId> ends = may_go;  // who has every path is in nobody's way
  std::erase_if(ends, [&, count = broken_neighbours(members, broken)](PeerId id) {
    return !count.contains(id);
  });
  const bool searched = members.size() <= leave_out_members;
  std::size_t tries = 0;
  const auto suffices = [&](const std::vector<PeerId>& out) {
    return ++tries <= leave_out_tries && ring_order(without(members, out), broken).has_value();
  };
  for (std::size_t i = 0; i < ends.size() && searched; ++i)
    if (suffices({ends[i]})) return {ends[i]};
  // Two between whom no path is broken are rather of one part of a torn run, and leave the other.
  for (const bool torn : {false, true})
    for (std::size_t i = 0; i < ends.size() && searched; ++i)
      for (std::size_t j = i + 1; j < ends.size() && tries < leave_out_tries; ++j) {
        const bool broken_between =
            broken.contains({ends[i], ends[j]}) || broken.contains({ends[j], ends[i]});
        if (broken_between == torn && suffices({ends[i], ends[j]})) return {ends[i], ends[j]};
      }
  std::vector<PeerId> out, rest = members;
  do {
    if (ends.empty()) return out;
    auto count = broken_neighbours(rest, broken);
    const auto worst = std::max_element(ends.begin(), ends.end(),
                                        [&](PeerId a, PeerId b) { return count[a] < count[b]; });
    out.push_back(*worst);
    rest = without(std::move(rest), {*worst});
    ends.erase(worst);
  } while (searched && !ring_order(rest, broken));
  return out;
}

}  // namespace pccl::plan
