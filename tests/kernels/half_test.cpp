#include "kernels/half.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "reference.hpp"

namespace pccl::kernels {
namespace {

static_assert(widen(Float16{0x3c00}) == 1.0f && widen(Float16{0x0001}) == 0x1p-24f);
static_assert(narrow_to_float16(65519.0f).bits == 0x7bff &&
              narrow_to_float16(65520.0f).bits == 0x7c00);
static_assert(widen(BFloat16{0x3f80}) == 1.0f && narrow_to_bfloat16(1.0f).bits == 0x3f80);

struct AsFloat16 {
  static constexpr reference::HalfFormat format = reference::float16;
  static float widened(std::uint16_t bits) { return widen(Float16{bits}); }
  static std::uint16_t narrowed(float value) { return narrow_to_float16(value).bits; }
};
struct AsBFloat16 {
  static constexpr reference::HalfFormat format = reference::bfloat16;
  static float widened(std::uint16_t bits) { return widen(BFloat16{bits}); }
  static std::uint16_t narrowed(float value) { return narrow_to_bfloat16(value).bits; }
};

template <typename Type>
class Half : public testing::Test {};
using HalfTypes = testing::Types<AsFloat16, AsBFloat16>;
TYPED_TEST_SUITE(Half, HalfTypes);

template <typename Type>
void expect_narrowed_right(float value) {
  ASSERT_EQ(Type::narrowed(value), Type::format.encode(value)) << std::hexfloat << value;
}

TYPED_TEST(Half, EveryValueWidensExactly) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const double exact = TypeParam::format.decode(half);
    const float widened = TypeParam::widened(half);
    if (std::isnan(exact)) {
      ASSERT_TRUE(std::isnan(widened)) << bits;
    } else {
      ASSERT_EQ(static_cast<double>(widened), exact) << bits;
      ASSERT_EQ(std::signbit(widened), std::signbit(exact)) << bits;
    }
  }
}

TYPED_TEST(Half, EveryValueSurvivesTheRoundTrip) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const bool nan = (half & 0x7fff) > TypeParam::format.infinity();
    ASSERT_EQ(TypeParam::narrowed(TypeParam::widened(half)), nan ? TypeParam::format.nan() : half)
        << bits;
  }
}

TYPED_TEST(Half, NarrowingRoundsToNearestAndTiesToEven) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (std::uint16_t bits = 0; bits < TypeParam::format.infinity(); ++bits) {
    const auto next = static_cast<std::uint16_t>(bits + 1);
    const double low = TypeParam::format.decode(bits);
    const double high = next == TypeParam::format.infinity()
                            ? low + (low - TypeParam::format.decode(bits - 1))
                            : TypeParam::format.decode(next);
    const auto middle = static_cast<float>((low + high) / 2);  // exact
    for (const float value :
         {static_cast<float>(low), std::nextafter(static_cast<float>(low), infinity),
          std::nextafter(middle, 0.0f), middle, std::nextafter(middle, infinity)}) {
      expect_narrowed_right<TypeParam>(value);
      expect_narrowed_right<TypeParam>(-value);
    }
    ASSERT_EQ(TypeParam::narrowed(middle), bits % 2 == 0 ? bits : next) << bits;
  }
}

TYPED_TEST(Half, NarrowingMatchesTheReferenceOnRandomBits) {
  std::mt19937 random{1};
  for (int i = 0; i < 300'000; ++i)
    expect_narrowed_right<TypeParam>(std::bit_cast<float>(static_cast<std::uint32_t>(random())));
}

TYPED_TEST(Half, NarrowingMeetsTheEndsOfTheRange) {
  const float largest = std::numeric_limits<float>::max(),
              smallest = std::numeric_limits<float>::denorm_min();
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float value : {0.0f, smallest, std::numeric_limits<float>::min(), largest, infinity}) {
    expect_narrowed_right<TypeParam>(value);
    expect_narrowed_right<TypeParam>(-value);
  }
}

TYPED_TEST(Half, EveryNaNNarrowsToTheCanonicalOne) {
  for (const std::uint32_t bits : {0x7f80'0001u, 0x7fbf'ffffu, 0x7fc0'0000u, 0x7fff'ffffu,
                                   0xff80'0001u, 0xffc0'0000u, 0xffff'ffffu, 0x7f80'1000u})
    EXPECT_EQ(TypeParam::narrowed(std::bit_cast<float>(bits)), TypeParam::format.nan()) << bits;
}

}  // namespace
}  // namespace pccl::kernels
