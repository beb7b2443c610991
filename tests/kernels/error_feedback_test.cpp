// What quantization loses is what the next one adds; and what that is good for.
#include "kernels/error_feedback.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "quantize_cases.hpp"

namespace pccl::kernels {
namespace {

using reference::all_quantizations;
using reference::Bytes;
using reference::numbers_of;
using reference::QuantizedBytes;
using reference::told;

constexpr std::size_t block = 128, count = 3 * block + 77;

struct Inputs {
  Bytes values;
  std::vector<float> residual;
  std::vector<double> meant;  // the sum, in the accumulator's precision
};

Inputs inputs_of(DataType type, std::mt19937_64& random) {
  std::normal_distribution<double> normal;
  std::vector<double> numbers(count);
  for (double& number : numbers) number = normal(random);
  Inputs inputs{reference::bytes_of_numbers(type, numbers), std::vector<float>(count), {}};
  const std::vector<double> rounded = numbers_of(type, inputs.values);
  for (std::size_t i = 0; i < count; ++i) {
    inputs.residual[i] = static_cast<float>(normal(random) / 16);
    inputs.meant.push_back(
        accumulator_of(type) == DataType::float64
            ? rounded[i] + static_cast<double>(inputs.residual[i])
            : static_cast<double>(static_cast<float>(rounded[i]) + inputs.residual[i]));
  }
  return inputs;
}

// What a plain quantizer of accumulators makes of it, for the same codes.
Quantizer wide(const Quantization& q) {
  return Quantizer({accumulator_of(q.type), q.code, q.levels, q.block_elements}, scalar_kernels);
}

std::vector<double> decoded(const Quantization& q, const QuantizedBytes& codes) {
  Bytes out(count * size_of(accumulator_of(q.type)));
  wide(q).dequantize(out.data(), codes.view(), count);
  return numbers_of(accumulator_of(q.type), out);
}

void expect_losses(const Quantization& q, const std::vector<double>& meant,
                   const std::vector<double>& said, const std::vector<float>& residual,
                   double factor = 1) {
  const bool in_float64 = accumulator_of(q.type) == DataType::float64;
  for (std::size_t i = 0; i < count; ++i) {
    const auto lost = in_float64 ? static_cast<float>((meant[i] - said[i]) * factor)
                                 : (static_cast<float>(meant[i]) - static_cast<float>(said[i])) *
                                       static_cast<float>(factor);
    ASSERT_EQ(residual[i], lost) << told(q) << ", element " << i;
  }
}

TEST(ErrorFeedback, TheResidualIsWhatTheCodesFallShort) {
  std::mt19937_64 random{1};
  for (const Quantization& q : all_quantizations(block)) {
    Inputs inputs = inputs_of(q.type, random);
    const Bytes meant = reference::bytes_of_numbers(accumulator_of(q.type), inputs.meant);
    QuantizedBytes codes(wide(q), count), expected(wide(q), count);
    wide(q).quantize(expected.out(), meant.data(), count);
    const FeedbackQuantizer quantizer(q);
    std::vector<double> scratch(quantizer.scratch_elements(count));
    quantizer.quantize(codes.out(), inputs.values.data(), inputs.residual.data(), count,
                       scratch.data());
    EXPECT_EQ(codes, expected) << told(q);
    expect_losses(q, inputs.meant, decoded(q, codes), inputs.residual);
  }
}

TEST(ErrorFeedback, AHopLosesWhatItsSumFallsShort) {
  std::mt19937_64 random{2};
  for (const Quantization& q : all_quantizations(block))
    for (const std::uint32_t world_size : {1u, 3u}) {
      const RedOp op = world_size > 1 ? RedOp::avg : RedOp::sum;
      const DataType accumulator = accumulator_of(q.type);
      QuantizedBytes come(wide(q), count), expected(wide(q), count);
      const Inputs other = inputs_of(q.type, random);
      wide(q).quantize(come.out(), reference::bytes_of_numbers(accumulator, other.meant).data(),
                       count);
      Inputs inputs = inputs_of(q.type, random);
      const Bytes local = reference::bytes_of_numbers(accumulator, inputs.meant);
      std::vector<double> scratch(3 * block);
      wide(q).requantize(op, expected.out(), come.view(), local.data(), count, scratch.data(),
                         world_size);
      // The sums that were encoded.
      Bytes sums(count * size_of(accumulator));
      wide(q).dequantize_reduce(op, sums.data(), come.view(), local.data(), count);
      scalar_kernels.average(accumulator, sums.data(), count, world_size);

      FeedbackQuantizer(q).requantize(op, come.out(), come.view(), inputs.values.data(),
                                      inputs.residual.data(), count, scratch.data(), world_size);
      EXPECT_EQ(come, expected) << told(q);
      expect_losses(q, numbers_of(accumulator, sums), decoded(q, come), inputs.residual,
                    world_size);
    }
}

TEST(ErrorFeedback, EverySetGivesTheSameBits) {
  std::mt19937_64 random{3};
  for (const Quantization& q : all_quantizations(block)) {
    const Inputs inputs = inputs_of(q.type, random);
    std::vector<double> scratch(3 * block);
    std::vector<float> first;
    for (const KernelSet* set : available_kernel_sets()) {
      std::vector<float> residual = inputs.residual;
      QuantizedBytes codes(wide(q), count);
      const FeedbackQuantizer quantizer(q, *set);
      quantizer.quantize(codes.out(), inputs.values.data(), residual.data(), count, scratch.data());
      quantizer.requantize(RedOp::sum, codes.out(), codes.view(), inputs.values.data(),
                           residual.data(), count, scratch.data());
      if (first.empty()) first = residual;
      EXPECT_EQ(residual, first) << set->name << ", " << told(q);
    }
  }
}

TEST(ErrorFeedback, AVoidBlockKeepsItsResidualAndNoOtherDoes) {
  std::mt19937_64 random{4};
  for (const DataType type : reference::float_types())
    for (const double spoiler : {std::nan(""), HUGE_VAL}) {
      const Quantization q{type, Code::uint4, Levels::min_max, block};
      Inputs inputs = inputs_of(type, random);
      std::vector<double> numbers = numbers_of(type, inputs.values);
      numbers[block + 5] = spoiler;
      const Bytes values = reference::bytes_of_numbers(type, numbers);
      QuantizedBytes codes(wide(q), count);
      std::vector<double> scratch(3 * block);
      std::vector<float> residual = inputs.residual;
      FeedbackQuantizer(q).quantize(codes.out(), values.data(), residual.data(), count,
                                    scratch.data());
      std::size_t kept = 0;
      for (std::size_t i = 0; i < count; ++i) kept += residual[i] == inputs.residual[i] ? 1 : 0;
      for (std::size_t i = block; i < 2 * block; ++i)
        EXPECT_EQ(residual[i], inputs.residual[i]) << i;
      EXPECT_LT(kept, block + 20);
    }
}

// The sum over many rounds of what two bits say is off by what one round can lose, not by the sum
// of all.
TEST(ErrorFeedback, OverManyRoundsTheLossesCancel) {
  std::mt19937_64 random{5};
  for (const Code code : {Code::uint2, Code::uint8, Code::float4_e3m0}) {
    const Quantization q{DataType::float32, code, Levels::min_max, block};
    const Inputs inputs = inputs_of(DataType::float32, random);
    const std::vector<double> exact = numbers_of(DataType::float32, inputs.values);
    std::vector<float> residual(count);
    std::vector<double> scratch(3 * block), with(count), without(count);
    QuantizedBytes codes(wide(q), count);
    constexpr int rounds = 100;
    for (int round = 0; round < rounds; ++round) {
      FeedbackQuantizer(q).quantize(codes.out(), inputs.values.data(), residual.data(), count,
                                    scratch.data());
      const std::vector<double> said = decoded(q, codes);
      wide(q).quantize(codes.out(), inputs.values.data(), count);
      const std::vector<double> said_without = decoded(q, codes);
      for (std::size_t i = 0; i < count; ++i) with[i] += said[i], without[i] += said_without[i];
    }
    double error_with = 0, error_without = 0;
    for (std::size_t i = 0; i < count; ++i) {
      // What is missing is what is owed.
      EXPECT_NEAR(with[i] + static_cast<double>(residual[i]), rounds * exact[i], 1e-3);
      error_with += std::pow(with[i] - rounds * exact[i], 2);
      error_without += std::pow(without[i] - rounds * exact[i], 2);
    }
    EXPECT_LT(std::sqrt(error_with), std::sqrt(error_without) / 20) << name_of(code);
  }
}

}  // namespace
}  // namespace pccl::kernels
