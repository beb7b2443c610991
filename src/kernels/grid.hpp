// From the range of a block to the numbers that its codes stand for: pure arithmetic in float64, so
// that the sender and the receivers of a block come to the same grid. constexpr, and so also for
// the kernels of a GPU.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>

#include "base/dtype.hpp"
#include "kernels/codes.hpp"
#include "kernels/half.hpp"
#include "kernels/mini_float.hpp"

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
constexpr bool is_void(Range range);

// Integer codes: level = offset + (code - origin) * step. Float codes: level = code * step.
// Both then limited to the range; codes of n signed bits are those of n unsigned bits with the top
// bit flipped.
struct Grid {
  double offset, origin, step, inverse_step;
  double lowest, highest;
};

// `range` is not void. `type` is the one of the accumulator, float32 or float64.
constexpr Grid grid_of(DataType type, Code code, Levels levels, Range range);

// What scanning elements gives: the smallest and the largest of their bit patterns, ordered like
// the numbers (-NaN, -infinity, finite, +infinity, +NaN).
struct Extremes {
  std::int64_t lowest, highest;
};
constexpr Extremes united(Extremes a, Extremes b);
// Void when a NaN or an infinity was among the elements. Zeros come out positive.
constexpr Range range_of(DataType type, Extremes extremes);

// ---- how

namespace in_grid {

// The kernels compute float32 elements in float32 as long as it can count the levels.
constexpr bool computed_in_float32(DataType type, Code code) {
  return type == DataType::float32 && bits_of(code) <= 16;
}

constexpr double largest_of(Code code) {
  if (code == Code::float8_e4m3) return Float8E4M3::largest;
  if (code == Code::float8_e5m2) return Float8E5M2::largest;
  return Float4E3M0::largest;
}

// Bits in the order of the numbers, back to the bits; its own inverse.
constexpr std::int64_t reordered(std::int64_t bits) {
  return bits ^ ((bits >> 63) & std::numeric_limits<std::int64_t>::max());
}

template <typename Bits>
constexpr double number_of(DataType type, std::int64_t order) {
  const std::int64_t bits = reordered(order << (64 - 8 * sizeof(Bits))) >> (64 - 8 * sizeof(Bits));
  const auto pattern = static_cast<Bits>(bits);
  if constexpr (sizeof(Bits) == 8) return std::bit_cast<double>(pattern);
  if constexpr (sizeof(Bits) == 4) return static_cast<double>(std::bit_cast<float>(pattern));
  if constexpr (sizeof(Bits) == 2)
    return static_cast<double>(type == DataType::float16 ? widen(Float16{pattern})
                                                         : widen(BFloat16{pattern}));
}

constexpr double number_of(DataType type, std::int64_t order) {
  if (type == DataType::float64) return number_of<std::uint64_t>(type, order);
  if (type == DataType::float32) return number_of<std::uint32_t>(type, order);
  return number_of<std::uint16_t>(type, order);
}

constexpr bool is_finite(double value) {
  return value - value == 0;
}

}  // namespace in_grid

constexpr bool is_void(Range range) {
  return !in_grid::is_finite(range.lowest) || !in_grid::is_finite(range.highest) ||
         range.lowest > range.highest;
}

constexpr Grid grid_of(DataType type, Code code, Levels levels, Range range) {
  // Smaller steps have no finite inverse.
  const double smallest_step = in_grid::computed_in_float32(type, code)
                                   ? static_cast<double>(std::numeric_limits<float>::min())
                                   : std::numeric_limits<double>::min();
  const auto [lowest, highest] = range;
  Grid grid{.inverse_step = 1, .lowest = lowest, .highest = highest};
  if (!is_integer(code)) {
    grid.step = std::max(std::max(-lowest, highest) / in_grid::largest_of(code), smallest_step);
    grid.inverse_step = 1 / grid.step;
    return grid;
  }
  const double width = highest - lowest;
  const bool overflows = !in_grid::is_finite(width);  // of finite numbers
  const double steps = steps_of(code);
  const double step =
      overflows ? (highest / 2 - lowest / 2) / steps * 2 : std::max(width / steps, smallest_step);
  if (lowest == highest) {  // of all codes: no step
    grid.offset = lowest;
  } else if (levels == Levels::zero_point_scale && lowest <= 0 && highest >= 0) {
    const auto nearest = static_cast<double>(static_cast<std::int64_t>(-lowest / step + 0.5));
    grid.origin = std::min(nearest, steps);
  } else {
    // The middle of the levels lies between two codes. The grid hangs on the upper of them, for
    // whole numbers.
    grid.origin = (steps + 1) / 2;
    const double middle = overflows ? lowest / 2 + highest / 2 : lowest + width / 2;
    grid.offset = middle + step / 2;
  }
  if (lowest != highest) {
    grid.step = step;
    grid.inverse_step = 1 / step;
  }
  return grid;
}

constexpr Extremes united(Extremes a, Extremes b) {
  return {std::min(a.lowest, b.lowest), std::max(a.highest, b.highest)};
}

constexpr Range range_of(DataType type, Extremes extremes) {
  const double lowest = in_grid::number_of(type, extremes.lowest) + 0.0;
  const double highest = in_grid::number_of(type, extremes.highest) + 0.0;
  if (in_grid::is_finite(lowest) && in_grid::is_finite(highest)) return {lowest, highest};
  return {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::quiet_NaN()};
}

}  // namespace pccl::kernels
