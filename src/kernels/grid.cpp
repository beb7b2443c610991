#include "kernels/grid.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/half.hpp"
#include "kernels/mini_float.hpp"

namespace pccl::kernels {

namespace {

// The kernels compute float32 elements in float32 as long as it can count the levels.
bool computed_in_float32(DataType type, Code code) {
  return type == DataType::float32 && bits_of(code) <= 16;
}

double largest_of(Code code) {
  if (code == Code::float8_e4m3) return Float8E4M3::largest;
  if (code == Code::float8_e5m2) return Float8E5M2::largest;
  return Float4E3M0::largest;
}

// Bits in the order of the numbers, back to the bits; its own inverse.
std::int64_t reordered(std::int64_t bits) {
  return bits ^ ((bits >> 63) & std::numeric_limits<std::int64_t>::max());
}

template <typename Bits>
double number_of(DataType type, std::int64_t order) {
  const std::int64_t bits = reordered(order << (64 - 8 * sizeof(Bits))) >> (64 - 8 * sizeof(Bits));
  const auto pattern = static_cast<Bits>(bits);
  if constexpr (sizeof(Bits) == 8) return std::bit_cast<double>(pattern);
  if constexpr (sizeof(Bits) == 4) return static_cast<double>(std::bit_cast<float>(pattern));
  if constexpr (sizeof(Bits) == 2)
    return static_cast<double>(type == DataType::float16 ? widen(Float16{pattern})
                                                         : widen(BFloat16{pattern}));
}

double number_of(DataType type, std::int64_t order) {
  if (type == DataType::float64) return number_of<std::uint64_t>(type, order);
  if (type == DataType::float32) return number_of<std::uint32_t>(type, order);
  return number_of<std::uint16_t>(type, order);
}

}  // namespace

bool is_void(Range range) {
  return !std::isfinite(range.lowest) || !std::isfinite(range.highest) ||
         range.lowest > range.highest;
}

Grid grid_of(DataType type, Code code, Levels levels, Range range) {
  // Smaller steps have no finite inverse.
  const double smallest_step = computed_in_float32(type, code)
                                   ? static_cast<double>(std::numeric_limits<float>::min())
                                   : std::numeric_limits<double>::min();
  const auto [lowest, highest] = range;
  Grid grid{.inverse_step = 1, .lowest = lowest, .highest = highest};
  if (!is_integer(code)) {
    grid.step = std::max(std::max(-lowest, highest) / largest_of(code), smallest_step);
    grid.inverse_step = 1 / grid.step;
    return grid;
  }
  const double width = highest - lowest;
  const bool overflows = std::isinf(width);
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

Extremes united(Extremes a, Extremes b) {
  return {std::min(a.lowest, b.lowest), std::max(a.highest, b.highest)};
}

Range range_of(DataType type, Extremes extremes) {
  const double lowest = number_of(type, extremes.lowest) + 0.0;
  const double highest = number_of(type, extremes.highest) + 0.0;
  if (std::isfinite(lowest) && std::isfinite(highest)) return {lowest, highest};
  return {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::quiet_NaN()};
}

}  // namespace pccl::kernels
