// The ring that suits the measured paths best. An all-reduce is as fast as the slowest link of its
// ring, so that link comes first; among rings that are alike in it, the one with the smallest sum
// of round trips, which is what small tensors and the first segment of a large one wait for.
//
// What is measured has noise, and noise must not decide: bandwidths within 5 % of the best slowest
// link count as equal to it (repeated measurements of one path over the WAN emulator differ by 1 to
// 3 %), and the given order is kept as long as its sum of round trips is within 5 %, or 1 ms, of
// the smallest: a change costs every peer new links.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "plan/ring_search.hpp"

namespace pccl::plan {

struct PathQuality {
  double bits_per_s = 0;  // 0: there is no path
  double round_trip_s = 0;
};

// Of every directed pair of members, by their index in the ring as it is.
class PathQualities {
 public:
  explicit PathQualities(std::size_t count) : count_(count), qualities_(count * count) {}

  std::size_t count() const { return count_; }
  PathQuality& of(Index from, Index to) { return qualities_[from * count_ + to]; }
  const PathQuality& of(Index from, Index to) const { return qualities_[from * count_ + to]; }

 private:
  std::size_t count_;
  std::vector<PathQuality> qualities_;
};

inline constexpr std::size_t exact_ring_size = 12;
inline constexpr double bandwidth_noise = 0.05;  // parts of the best slowest link
inline constexpr double round_trip_noise = 0.05;
inline constexpr double round_trip_noise_s = 0.001;

// Begins with the first. Exact up to `exact_ring_size` members, a bounded search beyond (a second
// or so: not for an event loop). The same question has the same answer. Nothing: no ring was found
// over the paths that there are.
std::optional<Order> best_ring(const PathQualities& qualities);

// What the ring is judged by.
double slowest_link(const PathQualities& qualities, const Order& ring);
double sum_of_round_trips(const PathQualities& qualities, const Order& ring);

}  // namespace pccl::plan
