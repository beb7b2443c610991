// First the highest floor under which no path of the ring need lie, by bisection: can a ring be
// formed of the paths above it? Then the shortest ring above that floor. Both questions are
// answered exactly for few members, and by a bounded search for many.
#include "plan/best_ring.hpp"

#include <algorithm>
#include <cmath>

#include "plan/short_ring.hpp"

namespace pccl::plan {

namespace {

PathMap paths_above(const PathQualities& qualities, double floor) {
  PathMap paths(qualities.count());
  for (Index from = 0; from < paths.count(); ++from)
    for (Index to = 0; to < paths.count(); ++to)
      if (const double has = qualities.of(from, to).bits_per_s; has <= 0 || has < floor)
        paths.close(from, to);
  return paths;
}

std::vector<double> bandwidths(const PathQualities& qualities) {
  std::vector<double> all;
  for (Index from = 0; from < qualities.count(); ++from)
    for (Index to = 0; to < qualities.count(); ++to)
      if (from != to && qualities.of(from, to).bits_per_s > 0)
        all.push_back(qualities.of(from, to).bits_per_s);
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

std::optional<Order> any_ring(const PathMap& paths) {
  return paths.count() <= exact_ring_size ? some_ring(paths) : search_ring(paths);
}

Order order_as_it_is(std::size_t count) {
  Order order(count);
  for (Index index = 0; index < count; ++index) order[index] = index;
  return order;
}

}  // namespace

double slowest_link(const PathQualities& qualities, const Order& ring) {
  double slowest = INFINITY;
  for (std::size_t rank = 0; rank < ring.size(); ++rank)
    slowest =
        std::min(slowest, qualities.of(ring[rank], ring[(rank + 1) % ring.size()]).bits_per_s);
  return slowest;
}

double sum_of_round_trips(const PathQualities& qualities, const Order& ring) {
  double sum = 0;
  for (std::size_t rank = 0; rank < ring.size(); ++rank)
    sum += qualities.of(ring[rank], ring[(rank + 1) % ring.size()]).round_trip_s;
  return sum;
}

std::optional<Order> best_ring(const PathQualities& qualities) {
  const Order as_it_is = order_as_it_is(qualities.count());
  if (qualities.count() < 2) return as_it_is;
  const std::vector<double> floors = bandwidths(qualities);
  std::optional<Order> found;
  double best = 0;
  // Invariant: a ring is known above every floor before `least`, none was found from `most` on.
  for (std::size_t least = 0, most = floors.size(); least < most;) {
    const std::size_t middle = least + (most - least) / 2;
    if (auto ring = any_ring(paths_above(qualities, floors[middle]))) {
      best = slowest_link(qualities, *ring);
      found = std::move(ring);
      while (least < most && floors[least] <= best) ++least;
    } else {
      most = middle;
    }
  }
  if (!found) return std::nullopt;
  const double floor = best * (1 - bandwidth_noise);
  const PathMap good = paths_above(qualities, floor);
  const auto length = [&](Index from, Index to) { return qualities.of(from, to).round_trip_s; };
  const Order shortest = qualities.count() <= exact_ring_size
                             ? shortest_ring(good, length)
                             : shortened_ring(good, length, *found);
  const double least = sum_of_round_trips(qualities, shortest);
  if (slowest_link(qualities, as_it_is) >= floor &&
      sum_of_round_trips(qualities, as_it_is) <=
          std::max(least * (1 + round_trip_noise), least + round_trip_noise_s))
    return as_it_is;
  return shortest;
}

}  // namespace pccl::plan
