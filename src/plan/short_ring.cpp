// Exact (Bellman, Held & Karp, 1962): of every set of members, and every member of it in which a
// walk from the first through all of the set can end, the shortest such walk.
//
// By local search: two neighbouring stretches of the ring change places (directions stay: a path is
// not its way back), or one stretch is reversed, as long as that makes the ring shorter; then a
// kick (a random exchange of two stretches, the "double bridge", which no single one of these moves
// takes back) and again, keeping the best. A path that does not work is merely very long, so that
// the search may pass through rings that use one.
#include "plan/short_ring.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "base/rng.hpp"

namespace pccl::plan {

namespace {

using Set = std::uint32_t;  // of members but the first: bit i is member i + 1

std::size_t sets_of(const PathMap& paths) {
  return std::size_t{1} << (paths.count() - 1);
}

}  // namespace

std::optional<Order> some_ring(const PathMap& paths) {
  const Index others = paths.count() - 1;
  if (paths.count() < 2) return Order(paths.count(), Index{0});
  std::vector<Set> next(others), ends(sets_of(paths));
  for (Index at = 0; at < others; ++at) {
    for (Index to = 0; to < others; ++to)
      if (paths.passable(at + 1, to + 1)) next[at] |= Set{1} << to;
    if (paths.passable(0, at + 1)) ends[Set{1} << at] = Set{1} << at;
  }
  for (Set set = 1; set < ends.size(); ++set)
    for (Index at = 0; at < others; ++at)
      if ((ends[set] >> at & 1) != 0)
        for (Index to = 0; to < others; ++to)
          if ((next[at] & ~set) >> to & 1) ends[set | Set{1} << to] |= Set{1} << to;
  // Backwards from the first, always to the lowest that can come before.
  Order ring;
  Set set = static_cast<Set>(ends.size() - 1);
  Index after = 0;
  while (set != 0) {
    Index at = 0;
    while (at < others && ((ends[set] >> at & 1) == 0 || !paths.passable(at + 1, after))) ++at;
    if (at == others) return std::nullopt;
    ring.push_back(after = at + 1);
    set &= ~(Set{1} << at);
  }
  ring.push_back(0);
  std::reverse(ring.begin(), ring.end());
  return ring;
}

Order shortest_ring(const PathMap& paths, const Length& length) {
  const Index others = paths.count() - 1;
  if (paths.count() < 3) return *some_ring(paths);
  const auto between = [&](Index from, Index to) {
    return paths.passable(from, to) ? length(from, to) : static_cast<double>(INFINITY);
  };
  // shortest[set * others + at]: a walk from the first through the set that ends at `at`.
  std::vector<double> shortest(sets_of(paths) * others, INFINITY);
  for (Index at = 0; at < others; ++at)
    shortest[(std::size_t{1} << at) * others + at] = between(0, at + 1);
  for (std::size_t set = 1; set < sets_of(paths); ++set)
    for (Index at = 0; at < others; ++at) {
      const double so_far = shortest[set * others + at];
      if (so_far == INFINITY) continue;
      for (Index to = 0; to < others; ++to) {
        if ((set >> to & 1) != 0) continue;
        double& walk = shortest[(set | std::size_t{1} << to) * others + to];
        walk = std::min(walk, so_far + between(at + 1, to + 1));
      }
    }
  Order ring;
  std::size_t set = sets_of(paths) - 1;
  Index after = 0;
  while (set != 0) {
    Index best = others;
    double least = INFINITY;
    for (Index at = 0; at < others; ++at) {
      if ((set >> at & 1) == 0) continue;
      const double whole = shortest[set * others + at] + between(at + 1, after);
      if (best == others || whole < least) {
        best = at;
        least = whole;
      }
    }
    ring.push_back(after = best + 1);
    set &= ~(std::size_t{1} << best);
  }
  ring.push_back(0);
  std::reverse(ring.begin(), ring.end());
  return ring;
}

namespace {

constexpr double no_path = 1e6;                    // seconds
constexpr double worth_while = 1e-9;               // shorter than that is rounding
constexpr std::uint64_t move_budget = 30'000'000;  // moves looked at
constexpr std::uint64_t moves_a_descent = 4'000'000;

class LocalSearch {
 public:
  LocalSearch(const PathMap& paths, const Length& length)
      : count_(paths.count()), lengths_(count_ * count_, no_path), rng_(count_) {
    for (Index from = 0; from < count_; ++from)
      for (Index to = 0; to < count_; ++to)
        if (paths.passable(from, to)) lengths_[from * count_ + to] = length(from, to);
    // All pairs of stretches where these are few, else only short ones.
    longest_stretch_ = std::clamp<std::size_t>(moves_a_descent / (count_ * count_), 3, count_);
  }

  Order improve(const Order& known) {
    Order best = descend(known);
    double least = total(best);
    const Order nearest = descend(by_nearest_neighbours());
    if (total(nearest) < least - worth_while) {
      best = nearest;
      least = total(best);
    }
    while (looked_ < move_budget) {
      Order other = descend(kicked(best));
      const double its = total(other);
      if (its >= least - worth_while) continue;
      best = std::move(other);
      least = its;
    }
    return best;
  }

 private:
  double between(Index from, Index to) const { return lengths_[from * count_ + to]; }

  double total(const Order& ring) const {
    double sum = 0;
    for (std::size_t i = 0; i < count_; ++i) sum += between(ring[i], ring[(i + 1) % count_]);
    return sum;
  }

  Order by_nearest_neighbours() const {
    Order ring{0};
    std::vector<bool> taken(count_);
    taken[0] = true;
    while (ring.size() < count_) {
      Index nearest = 0;
      for (Index to = 1; to < count_; ++to)
        if (!taken[to] &&
            (nearest == 0 || between(ring.back(), to) < between(ring.back(), nearest)))
          nearest = to;
      taken[nearest] = true;
      ring.push_back(nearest);
    }
    return ring;
  }

  Order descend(Order ring) {
    const std::uint64_t end = looked_ + moves_a_descent;
    while (looked_ < end && (exchange_stretches(ring) || reverse_a_stretch(ring))) {
    }
    looked_ += count_;  // a descent that finds nothing to look at ends, too
    return ring;
  }

  // [i, j) and [j, k) change places, the first of them short; the ring is turned so that every
  // place in it is looked at.
  bool exchange_stretches(Order& ring) {
    for (std::size_t i = 1; i < count_; ++i)
      for (std::size_t j = i + 1; j < std::min(count_, i + longest_stretch_ + 1); ++j) {
        const double before_i = between(ring[i - 1], ring[i]) + between(ring[j - 1], ring[j]);
        for (std::size_t k = j + 1; k <= count_; ++k) {
          ++looked_;
          const Index after = ring[k % count_];
          const double change = between(ring[i - 1], ring[j]) + between(ring[k - 1], ring[i]) +
                                between(ring[j - 1], after) - before_i -
                                between(ring[k - 1], after);
          if (change >= -worth_while) continue;
          const auto at = [&](std::size_t place) {
            return ring.begin() + static_cast<std::ptrdiff_t>(place);
          };
          std::rotate(at(i), at(j), at(k));
          return true;
        }
      }
    return false;
  }

  // [i, j) the other way round: sums along the ring and against it make each move cheap to judge.
  bool reverse_a_stretch(Order& ring) {
    std::vector<double> along(count_), against(count_);
    for (std::size_t i = 1; i < count_; ++i) {
      along[i] = along[i - 1] + between(ring[i - 1], ring[i]);
      against[i] = against[i - 1] + between(ring[i], ring[i - 1]);
    }
    for (std::size_t i = 1; i < count_; ++i)
      for (std::size_t j = i + 2; j <= count_; ++j) {
        ++looked_;
        const Index before = ring[i - 1], after = ring[j % count_];
        const double is =
            between(before, ring[i]) + (along[j - 1] - along[i]) + between(ring[j - 1], after);
        const double would_be =
            between(before, ring[j - 1]) + (against[j - 1] - against[i]) + between(ring[i], after);
        // Differences of large sums are rounded.
        if (would_be >= is - std::max(worth_while, 1e-12 * (along.back() + against.back())))
          continue;
        std::reverse(ring.begin() + static_cast<std::ptrdiff_t>(i),
                     ring.begin() + static_cast<std::ptrdiff_t>(j));
        return true;
      }
    return false;
  }

  // a b c d → a c b d, cut in three places at random.
  Order kicked(const Order& ring) {
    std::vector<std::size_t> cuts;
    while (cuts.size() < 3) {
      const std::size_t cut = 1 + rng_.below(count_ - 1);
      if (std::find(cuts.begin(), cuts.end(), cut) == cuts.end()) cuts.push_back(cut);
    }
    std::sort(cuts.begin(), cuts.end());
    Order other = ring;
    std::rotate(other.begin() + static_cast<std::ptrdiff_t>(cuts[0]),
                other.begin() + static_cast<std::ptrdiff_t>(cuts[1]),
                other.begin() + static_cast<std::ptrdiff_t>(cuts[2]));
    return other;
  }

  std::size_t count_;
  std::vector<double> lengths_;
  std::size_t longest_stretch_ = 3;
  std::uint64_t looked_ = 0;
  Rng rng_;  // seeded with the size: the same answer to the same question
};

}  // namespace

Order shortened_ring(const PathMap& paths, const Length& length, const Order& known) {
  return LocalSearch(paths, length).improve(known);
}

}  // namespace pccl::plan
