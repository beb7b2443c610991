// The promises of quantize.hpp: error bounds, special values, what the fused forms are made of.
#include "kernels/quantize.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "kernels/reduce.hpp"
#include "quantize_cases.hpp"

namespace pccl::kernels {
namespace {

using reference::all_quantizations;
using reference::Bytes;
using reference::bytes_of_numbers;
using reference::numbers_of;
using reference::QuantizedBytes;
using reference::told;

Bytes round_trip(const Quantization& q, const Bytes& values) {
  const Quantizer quantizer(q);
  const std::size_t count = values.size() / size_of(q.type);
  QuantizedBytes packed(quantizer, count);
  quantizer.quantize(packed.out(), values.data(), count);
  Bytes back(values.size());
  quantizer.dequantize(back.data(), packed.view(), count);
  return back;
}

double smallest_normal(DataType type) {
  if (type == DataType::float64) return std::numeric_limits<double>::min();
  return static_cast<double>(std::numeric_limits<float>::min());
}

// What quantize.hpp allows for `x` in a block of this range.
double bound(const Quantization& q, double x, double lowest, double highest) {
  const double top = std::max(-lowest, highest), size = std::fabs(x);
  const double top_of_any = std::max(std::fabs(lowest), std::fabs(highest));
  double error = 0;
  if (q.code == Code::float8_e4m3)
    error = 1.001 * std::max(size / 16, top / 448 / 1024);
  else if (q.code == Code::float8_e5m2)
    error = 1.001 * std::max(size / 8, top / 57344 / (1 << 17));
  else if (q.code == Code::float4_e3m0)
    error = 1.001 * std::max(size / 3, top / 128);
  else if (q.type == DataType::float64)
    error = 0.51 * (highest / steps_of(q.code) - lowest / steps_of(q.code)) +
            std::ldexp(top_of_any, -51);
  else if (bits_of(q.code) >= 32)
    error = 0.51 * (highest - lowest) / steps_of(q.code) +
            top_of_any * (std::ldexp(1, -51) + std::ldexp(1, -24));
  else
    error = 0.51 * (highest - lowest) / steps_of(q.code) + std::ldexp(top_of_any, -22);
  error = std::max(error, smallest_normal(q.type));
  // Rounded to 16 bits in the end, which x was already.
  if (q.type == DataType::float16) error += std::ldexp(size + error, -11) + std::ldexp(1, -25);
  if (q.type == DataType::bfloat16) error += std::ldexp(size + error, -8);
  return error;
}

void expect_within_bounds(const Quantization& q, const std::vector<double>& numbers) {
  const Bytes values = bytes_of_numbers(q.type, numbers);
  const std::vector<double> exact = numbers_of(q.type, values);
  const std::vector<double> decoded = numbers_of(q.type, round_trip(q, values));
  for (std::size_t first = 0; first < exact.size(); first += q.block_elements) {
    const std::size_t end = std::min(exact.size(), first + q.block_elements);
    const auto [low, high] = std::minmax_element(exact.begin() + static_cast<std::ptrdiff_t>(first),
                                                 exact.begin() + static_cast<std::ptrdiff_t>(end));
    for (std::size_t i = first; i < end; ++i) {
      ASSERT_LE(std::fabs(decoded[i] - exact[i]), bound(q, exact[i], *low, *high))
          << told(q) << ", element " << i << ": " << exact[i] << " became " << decoded[i]
          << " between " << *low << " and " << *high;
      ASSERT_GE(decoded[i], *low) << told(q);
      ASSERT_LE(decoded[i], *high) << told(q);
    }
  }
}

double largest_of(DataType type) {
  if (type == DataType::float16) return 65504;
  if (type == DataType::bfloat16) return std::ldexp(255, 120);
  if (type == DataType::float32) return static_cast<double>(std::numeric_limits<float>::max());
  return std::numeric_limits<double>::max();
}

std::vector<double> normal_numbers(std::size_t count, double mean, double deviation,
                                   unsigned seed) {
  std::mt19937_64 random{seed};
  std::normal_distribution<double> numbers{mean, deviation};
  std::vector<double> all(count);
  for (double& number : all) number = numbers(random);
  return all;
}

TEST(Quantize, ErrorsStayWithinTheirBounds) {
  for (const std::size_t block : {64u, 1024u, 1u << 20}) {
    for (const Quantization& q : all_quantizations(block)) {
      expect_within_bounds(q, normal_numbers(3000, 0, 1, 1));
      expect_within_bounds(q, normal_numbers(777, 1000, 1, 2));   // far from zero
      expect_within_bounds(q, normal_numbers(777, -3, 1e-3, 3));  // below it
      expect_within_bounds(q, normal_numbers(777, 0, 1e-6, 4));
      expect_within_bounds(q, normal_numbers(777, 0, 1e-39, 5));  // denormal in most types
      expect_within_bounds(q, {1, 2});
      expect_within_bounds(q, {-7});
    }
  }
}

TEST(Quantize, TheWholeRangeOfATypeFits) {
  for (const Quantization& q : all_quantizations(64)) {
    const double largest = largest_of(q.type);
    expect_within_bounds(q, {-largest, largest, 0, 1, -1, largest / 2, -largest / 3});
    expect_within_bounds(q, {largest, largest / 2, largest / 4});
    expect_within_bounds(q, {-largest, 0, largest / 300});
  }
}

TEST(Quantize, OneOutlierCostsItsOwnBlockOnly) {
  for (const Quantization& q : all_quantizations(64)) {
    std::vector<double> numbers = normal_numbers(640, 0, 1, 6);
    const std::vector<double> before =
        numbers_of(q.type, round_trip(q, bytes_of_numbers(q.type, numbers)));
    numbers[100] = 1e4;
    expect_within_bounds(q, numbers);
    const std::vector<double> after =
        numbers_of(q.type, round_trip(q, bytes_of_numbers(q.type, numbers)));
    EXPECT_NEAR(after[100], 1e4, 50) << told(q);  // not clipped; bfloat16 has 8 bits
    for (std::size_t i = 0; i < numbers.size(); ++i)
      if (i / 64 != 1) {
        ASSERT_EQ(after[i], before[i]) << told(q);
      }
  }
}

TEST(Quantize, EqualElementsComeBackExactly) {
  for (const Quantization& q : all_quantizations(64))
    for (const double number : {0.0, 1.0, -3.25, 1e-40, largest_of(q.type), -largest_of(q.type)}) {
      const Bytes values = bytes_of_numbers(q.type, std::vector<double>(100, number));
      EXPECT_EQ(reference::difference(q.type, round_trip(q, values), values), "")
          << told(q) << " " << number;
    }
  for (const Quantization& q : all_quantizations(64))
    for (const double decoded : numbers_of(
             q.type, round_trip(q, bytes_of_numbers(q.type, std::vector<double>(100, -0.0)))))
      ASSERT_EQ(decoded, 0) << told(q);
}

TEST(Quantize, WithAZeroPointZerosComeBackAsZeros) {
  for (const Quantization& q : all_quantizations(64)) {
    if (q.levels != Levels::zero_point_scale) continue;
    for (const unsigned seed : {1u, 2u, 3u, 4u, 5u}) {
      std::vector<double> numbers = normal_numbers(500, 0.3, 1, seed);
      for (std::size_t i = 0; i < numbers.size(); i += 3) numbers[i] = 0;
      const Bytes decoded = round_trip(q, bytes_of_numbers(q.type, numbers));
      for (std::size_t i = 0; i < numbers.size(); i += 3)
        ASSERT_EQ(reference::bits_at(q.type, decoded, i), 0u) << told(q);
    }
  }
}

TEST(Quantize, MinMaxLevelsReachFromTheLowestToTheHighest) {
  for (const Quantization& q : all_quantizations(64)) {
    if (q.levels != Levels::min_max || !is_integer(q.code)) continue;
    const std::vector<double> numbers = {-0.75, 1.25, 0.5};
    const std::vector<double> decoded =
        numbers_of(q.type, round_trip(q, bytes_of_numbers(q.type, numbers)));
    for (std::size_t i = 0; i < 2; ++i)
      EXPECT_NEAR(decoded[i], numbers[i], std::ldexp(1, -22)) << told(q);
  }
}

TEST(Quantize, RangesHaveNoNegativeZero) {
  for (const DataType type : reference::float_types()) {
    const Quantizer quantizer({type, Code::uint8, Levels::min_max, 64});
    for (const std::vector<double>& numbers :
         {std::vector<double>{-0.0}, {-0.0, 0.0}, {-0.0, 1}, {-1, -0.0}}) {
      Bytes ranges(quantizer.range_bytes(numbers.size()));
      quantizer.find_ranges(ranges.data(), bytes_of_numbers(type, numbers).data(), numbers.size());
      for (const double end : numbers_of(accumulator_of(type), ranges))
        EXPECT_TRUE(end != 0 || !std::signbit(end)) << name_of(type);
    }
  }
}

TEST(Quantize, RangesAreThoseOfASearch) {
  std::mt19937_64 random{12};
  for (const DataType type : reference::float_types()) {
    const Quantizer quantizer({type, Code::uint8, Levels::min_max, 64});
    for (const double mean : {-100.0, 0.0, 100.0}) {  // all negative, both, all positive
      for (std::size_t count = 1; count <= 64; ++count) {
        const Bytes values =
            bytes_of_numbers(type, normal_numbers(count, mean, 1, static_cast<unsigned>(random())));
        const std::vector<double> exact = numbers_of(type, values);
        const auto [low, high] = std::minmax_element(exact.begin(), exact.end());
        Bytes ranges(quantizer.range_bytes(count));
        quantizer.find_ranges(ranges.data(), values.data(), count);
        EXPECT_EQ(numbers_of(accumulator_of(type), ranges), (std::vector<double>{*low, *high}));
      }
    }
  }
}

TEST(Quantize, SumsThatAreNaNComeOutCanonical) {
  for (const Quantization& q : all_quantizations(64)) {
    const Quantizer quantizer(q);
    const Bytes values = bytes_of_numbers(q.type, normal_numbers(100, 0, 1, 13));
    Bytes local = values;
    const auto sign = std::uint64_t{1} << (8 * size_of(q.type) - 1);
    const std::uint64_t nan = (reference::canonical_nan(q.type) | sign) + 5;
    std::memcpy(local.data() + 7 * size_of(q.type), &nan, size_of(q.type));
    QuantizedBytes packed(quantizer, 100);
    quantizer.quantize(packed.out(), values.data(), 100);
    const DataType accumulator = accumulator_of(q.type);
    Bytes sums(100 * size_of(accumulator));
    quantizer.dequantize_reduce(RedOp::sum, sums.data(), packed.view(), local.data(), 100);
    EXPECT_EQ(reference::bits_at(accumulator, sums, 7), reference::canonical_nan(accumulator))
        << told(q);
  }
}

TEST(Quantize, ABlockWithoutAFiniteRangeIsVoid) {
  for (const Quantization& q : all_quantizations(64)) {
    const Bytes plain = bytes_of_numbers(q.type, normal_numbers(200, 0, 1, 7));
    const Bytes expected = round_trip(q, plain);
    const std::uint64_t nan = reference::canonical_nan(q.type);
    const auto sign = std::uint64_t{1} << (8 * size_of(q.type) - 1);
    const std::uint64_t infinity =
        reference::bits_at(q.type, bytes_of_numbers(q.type, {HUGE_VAL}), 0);
    for (const std::uint64_t bad :
         {nan, nan | sign, infinity + 1, (infinity + 1) | sign, infinity, infinity | sign}) {
      for (const std::size_t place : {64u, 100u, 127u}) {
        Bytes values = plain;
        std::memcpy(values.data() + place * size_of(q.type), &bad, size_of(q.type));
        const Quantizer quantizer(q);
        QuantizedBytes packed(quantizer, 200);
        std::fill(packed.codes.begin(), packed.codes.end(), std::byte{0xff});
        quantizer.quantize(packed.out(), values.data(), 200);
        for (std::size_t i = quantizer.code_bytes(64); i < quantizer.code_bytes(128); ++i)
          ASSERT_EQ(packed.codes[i], std::byte{0});
        const DataType accumulator = accumulator_of(q.type);
        EXPECT_EQ(reference::bits_at(accumulator, packed.ranges, 2),
                  reference::canonical_nan(accumulator));
        EXPECT_EQ(reference::bits_at(accumulator, packed.ranges, 3),
                  reference::canonical_nan(accumulator));
        const Bytes decoded = round_trip(q, values);
        for (std::size_t i = 0; i < 200; ++i)
          ASSERT_EQ(reference::bits_at(q.type, decoded, i),
                    i / 64 == 1 ? nan : reference::bits_at(q.type, expected, i))
              << told(q) << " " << i;
      }
    }
  }
}

TEST(Quantize, ImpossibleRangesDecodeToNaN) {
  const double infinity = HUGE_VAL, nan = NAN;
  for (const Quantization& q : all_quantizations(64)) {
    const Quantizer quantizer(q);
    for (const auto& [low, high] : {std::pair{1.0, -1.0},
                                    {0.0, infinity},
                                    {-infinity, 0.0},
                                    {nan, 1.0},
                                    {1.0, nan},
                                    {-nan, nan}}) {
      QuantizedBytes packed(quantizer, 70);
      packed.ranges = bytes_of_numbers(accumulator_of(q.type), {low, high, low, high});
      Bytes out(70 * size_of(q.type));
      quantizer.dequantize(out.data(), packed.view(), 70);
      for (std::size_t i = 0; i < 70; ++i)
        ASSERT_EQ(reference::bits_at(q.type, out, i), reference::canonical_nan(q.type)) << told(q);
    }
  }
}

TEST(Quantize, EveryCodeDecodesWithinTheRange) {  // also those that no encoder makes
  std::mt19937_64 random{8};
  for (const Quantization& q : all_quantizations(64)) {
    const Quantizer quantizer(q);
    QuantizedBytes packed(quantizer, 640);
    for (std::byte& code : packed.codes) code = static_cast<std::byte>(random());
    std::vector<double> ranges;
    for (int block = 0; block < 10; ++block) ranges.insert(ranges.end(), {-1.0, 2.0});
    packed.ranges = bytes_of_numbers(accumulator_of(q.type), ranges);
    Bytes out(640 * size_of(q.type));
    quantizer.dequantize(out.data(), packed.view(), 640);
    for (const double number : numbers_of(q.type, out)) {
      ASSERT_GE(number, -1) << told(q);
      ASSERT_LE(number, 2) << told(q);
    }
  }
}

TEST(Quantize, WhatLiesBeyondAGivenRangeGetsTheNearestLevel) {
  for (const Quantization& q : all_quantizations(64)) {
    const Quantizer quantizer(q);
    QuantizedBytes packed(quantizer, 4);
    packed.ranges = bytes_of_numbers(accumulator_of(q.type), {-1, 1});
    const Bytes values = bytes_of_numbers(q.type, {-5, 5, -HUGE_VAL, HUGE_VAL});
    quantizer.encode(packed.out(), values.data(), 4);
    Bytes out(values.size());
    quantizer.dequantize(out.data(), packed.view(), 4);
    const std::vector<double> decoded = numbers_of(q.type, out);
    const double error = bound(q, 1, -1, 1);
    for (std::size_t i = 0; i < 4; ++i)
      EXPECT_NEAR(decoded[i], i % 2 == 0 ? -1 : 1, error) << told(q);
  }
}

TEST(Quantize, QuantizeIsFindRangesAndEncode) {
  for (const Quantization& q : all_quantizations(128)) {
    const Quantizer quantizer(q);
    const Bytes values = bytes_of_numbers(q.type, normal_numbers(1000, 0, 1, 9));
    QuantizedBytes one(quantizer, 1000), two(quantizer, 1000);
    quantizer.quantize(one.out(), values.data(), 1000);
    quantizer.find_ranges(two.ranges.data(), values.data(), 1000);
    quantizer.encode(two.out(), values.data(), 1000);
    EXPECT_EQ(one, two) << told(q);
  }
}

// Dequantized without the rounding to 16 bits.
Bytes accumulated(const Quantization& q, const QuantizedBytes& packed, std::size_t count) {
  Quantization full = q;
  full.type = accumulator_of(q.type);
  Bytes out(count * size_of(full.type));
  Quantizer(full).dequantize(out.data(), packed.view(), count);
  return out;
}

TEST(Quantize, TheFusedFormsAreMadeOfTheirSteps) {
  constexpr std::size_t count = 3000;
  for (const std::size_t block : {64u, 1024u, 1u << 20}) {
    for (const Quantization& q : all_quantizations(block)) {
      const Quantizer quantizer(q);
      const DataType accumulator = accumulator_of(q.type);
      QuantizedBytes incoming(quantizer, count);
      quantizer.quantize(incoming.out(),
                         bytes_of_numbers(q.type, normal_numbers(count, 0, 1, 10)).data(), count);
      const std::vector<double> local_numbers = normal_numbers(count, 0, 1, 11);
      const Bytes local = bytes_of_numbers(q.type, local_numbers);
      const Bytes local_accumulated = bytes_of_numbers(accumulator, numbers_of(q.type, local));
      for (const RedOp op : reference::all_ops()) {
        const Bytes sums =
            reference::reduce(op, accumulator, accumulated(q, incoming, count), local_accumulated);
        Quantization of_sums = q;
        of_sums.type = accumulator;
        const Quantizer sum_quantizer(of_sums);

        Bytes fused(sums.size()), ranges(quantizer.range_bytes(count));
        quantizer.dequantize_reduce(op, fused.data(), incoming.view(), local.data(), count,
                                    ranges.data());
        ASSERT_EQ(reference::difference(accumulator, fused, sums), "") << told(q);
        QuantizedBytes expected(quantizer, count);
        sum_quantizer.quantize(expected.out(), sums.data(), count);
        ASSERT_EQ(ranges, expected.ranges) << told(q);

        const std::uint32_t world_size = op == RedOp::avg ? 3 : 1;
        const Bytes result =
            op == RedOp::avg ? reference::average(accumulator, sums, world_size) : sums;
        sum_quantizer.quantize(expected.out(), result.data(), count);
        Bytes scratch(std::min(count, block) * size_of(accumulator));
        QuantizedBytes apart(quantizer, count), in_place = incoming;
        quantizer.requantize(op, apart.out(), incoming.view(), local.data(), count, scratch.data(),
                             world_size);
        EXPECT_EQ(apart, expected) << told(q) << " " << name_of(op);
        quantizer.requantize(op, in_place.out(), in_place.view(), local.data(), count,
                             scratch.data(), world_size);
        EXPECT_EQ(in_place, expected) << told(q) << " " << name_of(op);
      }
    }
  }
}

// Relative L2 error of the sum over a ring of peers with N(0, 1) each. PCCL 1.0 had 0.039 and 0.064
// with min-max, 0.017 and 0.021 with its zero point and scale.
double ring_error(const Quantization& q, int world) {
  constexpr std::size_t count = 64 << 10;
  const Quantizer quantizer(q);
  QuantizedBytes packed(quantizer, count);
  std::vector<double> exact = normal_numbers(count, 0, 1, 100);
  quantizer.quantize(packed.out(), bytes_of_numbers(q.type, exact).data(), count);
  Bytes scratch(q.block_elements * sizeof(float)), out(count * sizeof(float));
  for (int rank = 1; rank < world; ++rank) {
    const std::vector<double> local =
        normal_numbers(count, 0, 1, 100 + static_cast<unsigned>(rank));
    for (std::size_t i = 0; i < count; ++i) exact[i] += local[i];
    quantizer.requantize(RedOp::sum, packed.out(), packed.view(),
                         bytes_of_numbers(q.type, local).data(), count, scratch.data());
  }
  quantizer.dequantize(out.data(), packed.view(), count);
  const std::vector<double> sums = numbers_of(q.type, out);
  double error = 0, size = 0;
  for (std::size_t i = 0; i < count; ++i) {
    error += (sums[i] - exact[i]) * (sums[i] - exact[i]);
    size += exact[i] * exact[i];
  }
  return std::sqrt(error / size);
}

TEST(Quantize, ARingLosesLittle) {
  for (const Levels levels : {Levels::min_max, Levels::zero_point_scale}) {
    const Quantization q{DataType::float32, Code::uint8, levels, 1024};
    EXPECT_LT(ring_error(q, 2), 0.0095);
    EXPECT_LT(ring_error(q, 4), 0.0125);
    EXPECT_LT(ring_error(q, 8), 0.0165);
  }
}

TEST(Quantize, ASumThatOverflowsVoidsItsBlock) {
  const Quantization q{DataType::float32, Code::uint8, Levels::min_max, 64};
  const Quantizer quantizer(q);
  std::vector<double> numbers(128, 1);
  numbers[70] = largest_of(q.type);
  const Bytes values = bytes_of_numbers(q.type, numbers);
  QuantizedBytes packed(quantizer, 128);
  quantizer.quantize(packed.out(), values.data(), 128);
  Bytes scratch(64 * sizeof(float)), out(128 * sizeof(float));
  quantizer.requantize(RedOp::sum, packed.out(), packed.view(), values.data(), 128, scratch.data());
  quantizer.dequantize(out.data(), packed.view(), 128);
  const std::vector<double> sums = numbers_of(q.type, out);
  for (std::size_t i = 0; i < 128; ++i) ASSERT_EQ(std::isnan(sums[i]), i >= 64);
  EXPECT_EQ(sums[0], 2);
}

TEST(Quantize, NothingOfNothing) {
  const Quantizer quantizer({DataType::float32, Code::uint4, Levels::min_max, 64});
  EXPECT_EQ(quantizer.block_count(0), 0u);
  EXPECT_EQ(quantizer.code_bytes(0), 0u);
  quantizer.quantize({nullptr, nullptr}, nullptr, 0);
  quantizer.dequantize(nullptr, {nullptr, nullptr}, 0);
  quantizer.requantize(RedOp::sum, {nullptr, nullptr}, {nullptr, nullptr}, nullptr, 0, nullptr);
}

TEST(Quantize, SizesAreThoseOfTheHeader) {
  const Quantizer quantizer({DataType::float64, Code::uint2, Levels::min_max, 64});
  EXPECT_EQ(quantizer.block_count(65), 2u);
  EXPECT_EQ(quantizer.code_bytes(65), 17u);
  EXPECT_EQ(quantizer.range_bytes(65), 32u);
}

TEST(QuantizeDeathTest, ABrokenPromiseEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(Quantizer({DataType::int32, Code::uint8, Levels::min_max, 64}), "");
  EXPECT_DEATH(Quantizer({DataType::float32, Code::uint8, Levels::min_max, 0}), "");
  EXPECT_DEATH(Quantizer({DataType::float32, Code::uint8, Levels::min_max, 100}), "");
  EXPECT_DEATH(Quantizer({DataType::float32, static_cast<Code>(13), Levels::min_max, 64}), "");
}

}  // namespace
}  // namespace pccl::kernels
