// The narrow floating-point codes against their definition, and how codes are packed.
#include "kernels/codes.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "kernels/mini_float.hpp"
#include "quantize_cases.hpp"

namespace pccl::kernels {
namespace {

static_assert(Float8E4M3::largest == 448 && Float8E5M2::largest == 57344);
static_assert(Float4E3M0::largest == 16 && Float4E3M0::decode(1) == 0.25f);

struct E4M3 : Float8E4M3 {
  static constexpr int fraction_bits = 3, bias = 7, last = 0x7e;
};
struct E5M2 : Float8E5M2 {
  static constexpr int fraction_bits = 2, bias = 15, last = 0x7b;
};
struct E3M0 : Float4E3M0 {
  static constexpr int fraction_bits = 0, bias = 3, last = 0x7;
};

template <typename Format>
double defined(int magnitude) {
  const int exponent = magnitude >> Format::fraction_bits;
  const int fraction = magnitude & ((1 << Format::fraction_bits) - 1);
  if (exponent == 0) return std::ldexp(fraction, 1 - Format::bias - Format::fraction_bits);
  return std::ldexp((1 << Format::fraction_bits) + fraction,
                    exponent - Format::bias - Format::fraction_bits);
}

// By search in the list of all numbers.
template <typename Format>
int nearest(double magnitude) {
  int best = 0;
  for (int code = 1; code <= Format::last; ++code) {
    const double now = std::fabs(defined<Format>(code) - magnitude);
    const double before = std::fabs(defined<Format>(best) - magnitude);
    const bool even = Format::fraction_bits == 0 ? code > 1 : code % 2 == 0;
    if (now < before || (now == before && even)) best = code;
  }
  return best;
}

template <typename Format>
class MiniFloats : public testing::Test {};
using Formats = testing::Types<E4M3, E5M2, E3M0>;
TYPED_TEST_SUITE(MiniFloats, Formats);

TYPED_TEST(MiniFloats, EveryCodeDecodesToItsNumberAndBack) {
  constexpr int sign = 1 << (TypeParam::width - 1);
  for (int code = 0; code < sign; ++code) {
    const auto positive = static_cast<std::uint8_t>(code);
    const auto negative = static_cast<std::uint8_t>(code | sign);
    EXPECT_EQ(static_cast<double>(TypeParam::decode(positive)), defined<TypeParam>(code)) << code;
    EXPECT_EQ(static_cast<double>(TypeParam::decode(negative)), -defined<TypeParam>(code)) << code;
    EXPECT_TRUE(std::signbit(TypeParam::decode(negative)));
    if (code > TypeParam::last) continue;
    EXPECT_EQ(TypeParam::encode(TypeParam::decode(positive)), positive);
    EXPECT_EQ(TypeParam::encode(TypeParam::decode(negative)), negative);
  }
}

TYPED_TEST(MiniFloats, EncodingTakesTheNearest) {
  std::mt19937 random{5};
  std::vector<double> values;
  for (int code = 0; code < TypeParam::last; ++code) {
    const double low = defined<TypeParam>(code), high = defined<TypeParam>(code + 1);
    const auto middle = static_cast<float>((low + high) / 2);
    values.insert(values.end(),
                  {static_cast<double>(middle), static_cast<double>(std::nextafter(middle, 0.0f)),
                   static_cast<double>(std::nextafter(middle, 1e9f))});
  }
  std::uniform_real_distribution<double> exponents{-30, 20};
  for (int i = 0; i < 20'000; ++i)
    values.push_back(static_cast<double>(static_cast<float>(std::exp2(exponents(random)))));
  for (const double value : values) {
    ASSERT_EQ(TypeParam::encode(static_cast<float>(value)), nearest<TypeParam>(value)) << value;
    ASSERT_EQ(TypeParam::encode(static_cast<float>(-value)),
              nearest<TypeParam>(value) | 1 << (TypeParam::width - 1));
  }
}

TYPED_TEST(MiniFloats, WhatIsTooLargeBecomesTheLargest) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float value : {1e30f, infinity, std::numeric_limits<float>::quiet_NaN()})
    EXPECT_EQ(TypeParam::encode(value), TypeParam::last);
}

// Element i of a packed group, by the words of codes.hpp.
unsigned packed_element(const reference::Bytes& codes, std::size_t bits, std::size_t count,
                        std::size_t i) {
  const std::size_t group = i / code_group_elements, in_group = i % code_group_elements;
  const std::size_t elements = std::min(code_group_elements, count - group * code_group_elements);
  const std::size_t group_bytes = (elements * bits + 7) / 8;
  const std::size_t byte = group * code_group_elements * bits / 8 + in_group % group_bytes;
  return std::to_integer<unsigned>(codes.at(byte)) >> (in_group / group_bytes * bits) &
         ((1u << bits) - 1);
}

TEST(Packing, IsAsTheHeaderTells) {
  for (const Code code : {Code::uint2, Code::uint4}) {
    const unsigned levels = 1u << bits_of(code);
    for (std::size_t count = 4; count <= 600; ++count) {
      const Quantizer quantizer({DataType::float32, code, Levels::min_max, 1024});
      std::vector<double> numbers(count);
      for (std::size_t i = 0; i < count; ++i) numbers[i] = static_cast<double>(i * 7 % levels);
      numbers[0] = 0, numbers[1] = levels - 1;
      reference::QuantizedBytes out(quantizer, count);
      ASSERT_EQ(out.codes.size(), (count * bits_of(code) + 7) / 8);
      quantizer.quantize(out.out(), reference::bytes_of_numbers(DataType::float32, numbers).data(),
                         count);
      for (std::size_t i = 0; i < count; ++i)
        ASSERT_EQ(packed_element(out.codes, bits_of(code), count, i), numbers[i]) << count;
    }
  }
}

TEST(Codes, SignedOnesHaveTheTopBitFlipped) {
  const std::vector<double> numbers = {-1, -0.5, 0, 0.25, 1};
  const reference::Bytes values = reference::bytes_of_numbers(DataType::float64, numbers);
  const std::pair<Code, Code> pairs[] = {{Code::uint8, Code::int8},
                                         {Code::uint16, Code::int16},
                                         {Code::uint32, Code::int32},
                                         {Code::uint64, Code::int64}};
  for (const auto& [without, with] : pairs) {
    const Quantizer plain({DataType::float64, without, Levels::min_max, 64});
    const Quantizer flipped({DataType::float64, with, Levels::min_max, 64});
    reference::QuantizedBytes a(plain, numbers.size()), b(flipped, numbers.size());
    plain.quantize(a.out(), values.data(), numbers.size());
    flipped.quantize(b.out(), values.data(), numbers.size());
    const std::size_t bytes = bits_of(without) / 8;
    for (std::size_t i = 0; i < a.codes.size(); ++i)
      EXPECT_EQ(a.codes[i] ^ (i % bytes == bytes - 1 ? std::byte{0x80} : std::byte{0}), b.codes[i]);
  }
}

}  // namespace
}  // namespace pccl::kernels
