// Tensors whose sum tells who took part, and whether every byte of it is right.
//
// Each peer owns a slot at the front of the tensor, where it alone puts something other than zero:
// a one, the iteration it believes in, its own salt, its id. The rest is a pattern that id, salt
// and tensor shift, so that the sum of a known set of contributions is known everywhere, and a
// segment from another call, place or peer shows. All values are small integers: float sums are
// exact in any order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace bench {

inline constexpr int slots =
    64;  // ids that differ by a multiple of this may not live at the same time

struct Contribution {
  int id = 0;
  std::uint32_t iteration = 0;  // below 2^24
  std::uint32_t salt = 0;       // likewise
};

// What a sum tells.
struct Reading {
  std::uint64_t contributors = 0;  // bit = id % slots
  std::uint32_t iteration = 0;     // the largest contributed
  std::uint64_t digest = 0;        // of the slots
  std::size_t wrong = 0;           // elements that are not what the contributors account for
};

void write_contribution(float* tensor, std::size_t count, int tensor_index,
                        const Contribution& mine);
Reading read_sum(const float* tensor, std::size_t count, int tensor_index);

}  // namespace bench
