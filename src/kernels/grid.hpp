// From the range of a block to the numbers that its codes stand for: pure arithmetic in float64, so
// that the sender and the receivers of a block come to the same grid.
#pragma once

#include <cstdint>

#include "base/dtype.hpp"
#include "kernels/codes.hpp"

namespace pccl::kernels {

// Where the levels of an integer code lie within the range of a block. With the numbers of
// pcclQuantizationAlgorithm_t.
enum class Levels : std::uint8_t {
  min_max = 1,           // evenly from the lowest to the highest element
  zero_point_scale = 2,  // as min_max, but moved by up to half a step so that 0 is one of them
};

// Of the elements of one block: lowest <= highest and both finite, or else *void*: the block has no
// finite range and decodes to NaN.
struct Range {
  double lowest, highest;
};
bool is_void(Range range);

// Integer codes: level = offset + (code - origin) * step. Float codes: level = code * step.
// Both then limited to the range; codes of n signed bits are those of n unsigned bits with the top
// bit flipped.
struct Grid {
  double offset, origin, step, inverse_step;
  double lowest, highest;
};

// `range` is not void. `type` is the one of the accumulator, float32 or float64.
Grid grid_of(DataType type, Code code, Levels levels, Range range);

// What scanning elements gives: the smallest and the largest of their bit patterns, ordered like
// the numbers (-NaN, -infinity, finite, +infinity, +NaN).
struct Extremes {
  std::int64_t lowest, highest;
};
Extremes united(Extremes a, Extremes b);
// Void when a NaN or an infinity was among the elements. Zeros come out positive.
Range range_of(DataType type, Extremes extremes);

}  // namespace pccl::kernels
