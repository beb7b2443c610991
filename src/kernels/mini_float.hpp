// Floating-point codes of 8 and 4 bits, to and from float32: sign, exponent, fraction, with
// denormals.
//
// There is neither infinity nor NaN among the values that are encoded (blocks with such elements
// have no codes at all, see quantize.hpp), so every pattern stands for a number, and what is too
// large, NaN included, becomes the largest one. Encoding rounds to nearest, ties to the even
// significand (which without a fraction is the larger number, or 0). All is branch-free and without
// a select, which is what vectorises best.
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

  static constexpr float decode(std::uint8_t code) {
    const std::uint32_t wide = code;
    const std::uint32_t sign = (wide << (32 - width)) & 0x8000'0000u;
    const auto magnitude =
        static_cast<std::int32_t>((wide << shift) & (((1u << (width - 1)) - 1) << shift));
    // Read with an implicit one, as `normal`, denormals come out too large; read as twice a number
    // less the one of the smallest exponent, normal numbers do. The smaller reading is right.
    const float without_one =
        std::bit_cast<float>(magnitude + smallest_normal) - std::bit_cast<float>(smallest_normal);
    const std::int32_t normal = magnitude + rebias;
    const auto denormal = std::bit_cast<std::int32_t>(without_one);
    const std::int32_t number = normal < denormal ? normal : denormal;
    return std::bit_cast<float>(static_cast<std::uint32_t>(number) | sign);
  }

  static constexpr float largest = decode(largest_code);

  static constexpr std::uint8_t encode(float value) {
    constexpr auto largest_bits = std::bit_cast<std::int32_t>(largest);
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const auto any_magnitude = static_cast<std::int32_t>(bits & 0x7fff'ffffu);
    const std::int32_t magnitude = any_magnitude < largest_bits ? any_magnitude : largest_bits;
    const std::int32_t own_exponent = magnitude & 0x7f80'0000;
    const std::int32_t exponent = own_exponent > smallest_normal ? own_exponent : smallest_normal;
    // The last place of this number is that of the code: the addition does the rounding.
    const std::int32_t anchor = exponent + (shift << 23);
    const float rounded = std::bit_cast<float>(magnitude) + std::bit_cast<float>(anchor);
    const std::int32_t significand = std::bit_cast<std::int32_t>(rounded) - anchor;
    // Put together at the top of a word and shifted down last: a compiler that sees all but the low
    // bits thrown away splits the steps before into ones of 8 bits, which takes more.
    const std::uint32_t number =
        (static_cast<std::uint32_t>(significand) << (32 - width)) +
        (static_cast<std::uint32_t>(exponent - smallest_normal) << (8 - exponent_width));
    return static_cast<std::uint8_t>((number | (bits & 0x8000'0000u)) >> (32 - width));
  }
};

using Float8E4M3 = MiniFloat<4, 3, 7, 0x7e>;   // 448
using Float8E5M2 = MiniFloat<5, 2, 15, 0x7b>;  // 57344
using Float4E3M0 = MiniFloat<3, 0, 3, 0x7>;    // 16, down to 1/4

}  // namespace pccl::kernels
