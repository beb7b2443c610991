// Floating-point codes of 8 and 4 bits, to and from float32: sign, exponent, fraction, with
// denormals.
//
// There is neither infinity nor NaN among the values that are encoded (blocks with such elements
// have no codes at all, see quantize.hpp), so every pattern stands for a number, and what is too
// large, NaN included, becomes the largest one. Encoding rounds to nearest, ties to the even code.
// Branch-free like half.hpp, whose tricks these are.
#pragma once

#include <bit>
#include <cstdint>

namespace pccl::kernels {

template <int exponent_width, int fraction_width, int bias, int largest_code>
struct MiniFloat {
  static constexpr int width = 1 + exponent_width + fraction_width;
  static constexpr int shift = 23 - fraction_width;
  static constexpr std::int32_t rebias = (127 - bias) << 23;
  static constexpr std::int32_t smallest_normal = (127 + 1 - bias) << 23;
  // The last place of this number is the distance between denormal codes.
  static constexpr float anchor =
      std::bit_cast<float>((127 + 1 - bias - fraction_width + 23) << 23);

  static constexpr float decode(std::uint8_t code) {
    const std::int32_t sign = (code >> (width - 1)) & 1;
    const std::int32_t magnitude = (code & ((1 << (width - 1)) - 1)) << shift;
    const float denormal =
        std::bit_cast<float>(magnitude + smallest_normal) - std::bit_cast<float>(smallest_normal);
    const bool is_denormal = magnitude < (1 << 23);
    const std::int32_t number =
        is_denormal ? std::bit_cast<std::int32_t>(denormal) : magnitude + rebias;
    return std::bit_cast<float>(static_cast<std::uint32_t>(number) |
                                static_cast<std::uint32_t>(sign) << 31);
  }

  static constexpr float largest = decode(largest_code);

  static constexpr std::uint8_t encode(float value) {
    constexpr auto largest_bits = std::bit_cast<std::int32_t>(largest);
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const auto any_magnitude = static_cast<std::int32_t>(bits & 0x7fff'ffffu);
    const std::int32_t magnitude = any_magnitude < largest_bits ? any_magnitude : largest_bits;
    const std::int32_t half = (1 << (shift - 1)) - 1 + ((magnitude >> shift) & 1);
    const std::int32_t normal = (magnitude - rebias + half) >> shift;
    const std::int32_t denormal =
        std::bit_cast<std::int32_t>(std::bit_cast<float>(magnitude) + anchor) -
        std::bit_cast<std::int32_t>(anchor);
    const std::int32_t number = magnitude < smallest_normal ? denormal : normal;
    return static_cast<std::uint8_t>(static_cast<std::uint32_t>(number) |
                                     bits >> 31 << (width - 1));
  }
};

using Float8E4M3 = MiniFloat<4, 3, 7, 0x7e>;   // 448
using Float8E5M2 = MiniFloat<5, 2, 15, 0x7b>;  // 57344
using Float4E3M0 = MiniFloat<3, 0, 3, 0x7>;    // 16, down to 1/4

}  // namespace pccl::kernels
