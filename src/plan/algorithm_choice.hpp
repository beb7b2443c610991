// Which algorithm an op takes: a pure function of what all members know, so all choose the same.
//
// A model of what they cost. Of the star: a round trip, and the master's line, which carries every
// input and every result. Of the others: their steps, one after the other, and the round trip of
// the verdict; of the pairwise exchange also that each adds all elements, where the ring shares
// that work. What is not measured is assumed: the master is as far away as the farthest neighbour,
// and its line carries `assumed_bytes_under_way` per round trip, but no less than a home line and
// no more than the memory of one machine.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/algorithm.hpp"
#include "base/time.hpp"

namespace pccl::plan {

struct Group {
  std::uint32_t world = 2;
  Duration rtt{0};  // the longest between neighbours of the ring
};

inline constexpr double assumed_bytes_under_way = 100e3;
inline constexpr double slowest_line = 12.5e6, fastest_line = 1e9;  // bytes per second
inline constexpr double ring_step_s = 50e-6;  // beside the way itself: a frame, a wake-up
inline constexpr double added_bytes_per_second = 12e9;

double star_seconds(std::size_t bytes, const Group& group);
double steps_seconds(std::size_t bytes, const Group& group, Algorithm algorithm);

// `wish` is the same on all members. No more goes through the master than it takes.
Algorithm choose_algorithm(std::size_t bytes, bool quantized, const Group& group,
                           const AlgorithmWish& wish = {});

// The most bytes that go through the master, 0: none do.
std::size_t largest_star(const Group& group, const AlgorithmWish& wish = {});

// The most bytes that two members exchange instead of taking the ring, 0: none. Only elements that
// travel as they are.
std::size_t largest_pairwise(const Group& group, const AlgorithmWish& wish = {});

}  // namespace pccl::plan
