// float16 (IEEE 754 binary16) and bfloat16 (the upper half of a float32), to and from float32.
//
// Widening is exact. Narrowing rounds to nearest, ties to even, in one step: denormals stay, what
// is too large becomes infinity, and every NaN becomes the one NaN of its type (see
// generic/reduce.inl for why there is only one). Branch-free, so that a loop over them vectorises;
// the float16 tricks are Fabian Giesen's (https://gist.github.com/rygorous/2156668).
#pragma once

#include <bit>
#include <cstdint>

namespace pccl::kernels {

struct Float16 {
  std::uint16_t bits;
};
struct BFloat16 {
  std::uint16_t bits;
};

inline constexpr std::uint32_t float32_sign = 0x8000'0000;
inline constexpr std::uint32_t float32_nan = 0x7fc0'0000;
inline constexpr Float16 float16_nan{0x7e00};
inline constexpr BFloat16 bfloat16_nan{0x7fc0};

constexpr float widen(BFloat16 value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16);
}

constexpr float widen(Float16 value) {
  constexpr std::uint32_t exponents = 0x7c00u << 13;             // all ones: infinity or NaN
  constexpr std::uint32_t rebias = (127u - 15u) << 23;           // of the exponent
  constexpr std::uint32_t smallest_normal = (127u - 14u) << 23;  // 2^-14
  const std::uint32_t sign = static_cast<std::uint32_t>(value.bits & 0x8000u) << 16;
  const std::uint32_t magnitude = static_cast<std::uint32_t>(value.bits & 0x7fffu) << 13;
  const std::uint32_t normal = magnitude + rebias;
  // Read with the implicit one that it has not got, a denormal is 2^-14 too large. Both operands
  // and the difference are normal float32, so this holds under flush-to-zero as well.
  const float denormal =
      std::bit_cast<float>(magnitude + smallest_normal) - std::bit_cast<float>(smallest_normal);
  const std::uint32_t finite =
      (magnitude & exponents) == 0 ? std::bit_cast<std::uint32_t>(denormal) : normal;
  const std::uint32_t result = (magnitude & exponents) == exponents ? normal + rebias : finite;
  return std::bit_cast<float>(sign | result);
}

constexpr BFloat16 narrow_to_bfloat16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  return {static_cast<std::uint16_t>(value == value ? rounded : bfloat16_nan.bits)};
}

constexpr Float16 narrow_to_float16(float value) {
  constexpr std::uint32_t overflow = (127u + 16u) << 23;  // 2^16: infinity, whatever the fraction
  constexpr std::uint32_t smallest_normal = (127u - 14u) << 23;  // 2^-14
  constexpr std::uint32_t rebias = (127u - 15u) << 23;
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits & float32_sign) >> 16;
  const std::uint32_t magnitude = bits & ~float32_sign;
  // Half of the last place that is dropped, less one unless the place that stays is odd: ties go to
  // even. The carry may run into the exponent, up to infinity, which is what rounding up means
  // there.
  const std::uint32_t normal = (magnitude - rebias + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
  // The last place of 0.5f is 2^-24, as is the last place of a denormal float16: the addition does
  // the rounding.
  const std::uint32_t denormal =
      std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) -
      std::bit_cast<std::uint32_t>(0.5f);
  const std::uint32_t finite = magnitude < smallest_normal ? denormal : normal;
  const std::uint32_t number = sign | (magnitude >= overflow ? 0x7c00u : finite);
  return {static_cast<std::uint16_t>(value == value ? number : float16_nan.bits)};
}

}  // namespace pccl::kernels
