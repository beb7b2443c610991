// What a reduction should give, computed slowly and by other means than the kernels: integers in
// 128 bits, 16-bit floats by search in the list of all of them, float32 by way of float64.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "base/dtype.hpp"

namespace pccl::kernels::reference {

using Bytes = std::vector<std::byte>;

Bytes reduce(RedOp op, DataType type, const Bytes& a, const Bytes& b);
Bytes average(DataType type, const Bytes& data, std::uint32_t world_size);

// A 16-bit floating-point format: its value as a double, and the nearest of its numbers (ties to
// the even one).
struct HalfFormat {
  int exponent_bits, fraction_bits;

  std::uint16_t infinity() const {
    return static_cast<std::uint16_t>(0x7fff >> fraction_bits << fraction_bits);
  }
  std::uint16_t nan() const {
    return static_cast<std::uint16_t>(infinity() | 1 << (fraction_bits - 1));
  }
  double decode(std::uint16_t bits) const;
  std::uint16_t encode(double value) const;
};
inline constexpr HalfFormat float16{5, 10}, bfloat16{8, 7};

// ---- Inputs ----

// `count` elements: random bytes, with every eighth or so replaced by one of special_values().
Bytes random_elements(DataType type, std::size_t count, std::mt19937_64& random);

// Bit patterns worth meeting: zeros, ones, extremes; infinities, NaNs with payloads, denormals.
std::vector<std::uint64_t> special_values(DataType type);

// Numbers of a floating-point type, rounded to it.
Bytes bytes_of_numbers(DataType type, const std::vector<double>& numbers);
std::vector<double> numbers_of(DataType type, const Bytes& data);

Bytes bytes_of(DataType type, const std::vector<std::uint64_t>& bit_patterns);
std::uint64_t bits_at(DataType type, const Bytes& data, std::size_t index);

bool is_float(DataType type);
std::uint64_t canonical_nan(DataType type);

std::vector<DataType> all_types();
std::vector<RedOp> all_ops();

// "element 17: 3c00, should be 3c01", or nothing where they agree.
std::string difference(DataType type, const Bytes& actual, const Bytes& expected);

}  // namespace pccl::kernels::reference
