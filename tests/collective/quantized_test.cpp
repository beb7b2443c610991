// The ring of a quantized op: what plain arithmetic along the ring gives, on all ranks, whatever
// overtakes what; and how far that is from the exact result.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/limits.hpp"
#include "base/rng.hpp"
#include "collective/ring_harness.hpp"

namespace pccl::collective {
namespace {

using test::OpCase;
using test::RingHarness;

constexpr QuantizationOptions to_uint8{QuantizationAlgorithm::min_max, Code::uint8};

// With all ranks in memory of the host; and with all, or some, on GPUs.
void expect_right(test::RingOptions options, const OpCase& op) {
  for (const std::uint64_t which : {std::uint64_t{0}, 3 * options.seed + 1 + options.seed % 2}) {
    options.gpus = test::gpus_of(which, options.world);
    SCOPED_TRACE(testing::Message() << "world " << options.world << ", lanes " << options.lanes
                                    << ", GPUs " << options.gpus);
    RingHarness ring(options);
    const std::size_t index = ring.add(op);
    ring.launch_everywhere(index);
    ring.run_until_stalled();
    ring.expect_finished_with_right_result(index);
  }
}

class Quantized : public testing::TestWithParam<std::uint32_t> {
 protected:
  const std::uint32_t world = GetParam();
};
INSTANTIATE_TEST_SUITE_P(Worlds, Quantized, testing::Range(2u, 7u));

TEST_P(Quantized, AroundEveryBoundary) {
  const std::uint64_t segment = 64, chunk = world * segment, wave = chunk * limits::ring_depth;
  for (const std::uint64_t count : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{world},
                                    chunk - 1, chunk + 1, wave + 1, 2 * wave + 3})
    for (std::uint32_t lanes = 1; lanes <= 3; ++lanes)
      for (const bool in_place : {false, true})
        expect_right({.world = world, .lanes = lanes, .seed = count + lanes, .largest_piece = 40},
                     {.count = count,
                      .type = DataType::float32,
                      .in_place = in_place,
                      .segment_elements = segment,
                      .quantization = to_uint8});
}

TEST_P(Quantized, EveryTypeOpAndCode) {
  for (const DataType type :
       {DataType::float32, DataType::float64, DataType::float16, DataType::bfloat16})
    for (std::uint8_t op = 0; op < red_op_count; ++op)
      for (std::uint8_t code = 0; code < code_count; ++code) {
        const bool integer = static_cast<Code>(code) < Code::float8_e4m3;
        for (const auto algorithm :
             {QuantizationAlgorithm::min_max, QuantizationAlgorithm::zero_point_scale})
          expect_right({.world = world, .lanes = 2, .seed = code},
                       {.count = 1500,
                        .type = type,
                        .op = static_cast<RedOp>(op),
                        .in_place = code % 2 == 0,
                        .quantization = {integer ? algorithm : QuantizationAlgorithm::scale,
                                         static_cast<Code>(code)}});
      }
}

TEST_P(Quantized, WithErrorFeedback) {
  for (const DataType type :
       {DataType::float32, DataType::float64, DataType::float16, DataType::bfloat16})
    for (const RedOp op : {RedOp::sum, RedOp::avg})
      for (const QuantizationOptions& how :
           {to_uint8, QuantizationOptions{QuantizationAlgorithm::zero_point_scale, Code::uint2},
            QuantizationOptions{QuantizationAlgorithm::scale, Code::float4_e3m0}})
        for (const std::uint64_t count : {std::uint64_t{1}, std::uint64_t{4000}})
          expect_right({.world = world, .lanes = 2, .seed = count}, {.count = count,
                                                                     .type = type,
                                                                     .op = op,
                                                                     .in_place = op == RedOp::sum,
                                                                     .segment_elements = 64,
                                                                     .quantization = how,
                                                                     .feedback = true});
}

// Cancelled anywhere, the residuals are what they were; and nothing touches them afterwards.
TEST_P(Quantized, ACancelledOpLeavesTheResidualsAsTheyWere) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    RingHarness ring({.world = world,
                      .lanes = 2,
                      .seed = seed,
                      .largest_piece = 300,
                      .gpus = test::gpus_of(seed, world)});
    const std::size_t index = ring.add({.count = 5000,
                                        .type = DataType::float32,
                                        .in_place = seed % 2 == 0,
                                        .segment_elements = 128,
                                        .quantization = to_uint8,
                                        .feedback = true});
    ring.launch_everywhere(index);
    for (std::uint64_t sweeps = 0; sweeps < seed * 6; ++sweeps) ring.sweep();
    for (std::uint32_t rank = 0; rank < world; ++rank) {
      ring.cancel(rank, index);
      ring.roll_back(rank, index);
    }
    ring.run_until_stalled();
    for (std::uint32_t rank = 0; rank < world; ++rank)
      ring.expect_untouched_since_roll_back(rank, index);
  }
}

// Residuals of 16-bit elements take more than one block of a pool.
TEST(QuantizedSegments, OfTheLargestSizeHaveTheirResidualsBack) {
  for (const DataType type : {DataType::float16, DataType::float32}) {
    RingHarness ring({.world = 2, .seed = 3, .gpus = 1});
    const std::size_t index =
        ring.add({.count = 400'000, .type = type, .quantization = to_uint8, .feedback = true});
    ring.launch_everywhere(index);
    ring.run_until_stalled();
    ring.expect_finished_with_right_result(index);
    for (const std::uint32_t rank : {0u, 1u}) ring.roll_back(rank, index);
  }
}

// Wide codes and their ranges: a segment of them still fits into a block.
TEST(QuantizedSegments, FitIntoABlock) {
  for (const DataType type : {DataType::float16, DataType::float32, DataType::float64})
    for (std::uint8_t code = 0; code < code_count; ++code) {
      const Operand operand{
          .type = type, .quantization = {QuantizationAlgorithm::min_max, static_cast<Code>(code)}};
      const auto schedule = schedule_of(0, 3, 10'000'000, operand);
      EXPECT_LE(SegmentCoder::bytes(type, operand.quantization, schedule.sent(0).count),
                limits::segment_bytes)
          << name_of(type) << " to " << name_of(operand.quantization.code);
      EXPECT_GE(SegmentCoder::bytes(type, operand.quantization, schedule.sent(0).count),
                limits::segment_bytes / 64);
    }
}

TEST(QuantizedSegments, OfUint8AreAQuarterAndAPercent) {
  EXPECT_EQ(SegmentCoder::bytes(DataType::float32, to_uint8, 65536), 65536u + 64 * 8);
}

// Of a world of two and of four, 1 million normal numbers: the errors that docs/performance.md
// promises.
TEST(QuantizedError, OfNormalNumbers) {
  constexpr std::size_t count = 1 << 20;
  struct Promise {
    QuantizationOptions how;
    std::uint32_t world;
    double relative;
  };
  for (const auto& [how, world, relative] :
       {Promise{to_uint8, 2, 0.011}, Promise{to_uint8, 4, 0.016},
        Promise{{QuantizationAlgorithm::zero_point_scale, Code::uint8}, 2, 0.011},
        Promise{{QuantizationAlgorithm::min_max, Code::uint4}, 2, 0.19},
        Promise{{QuantizationAlgorithm::scale, Code::float8_e4m3}, 2, 0.05}}) {
    Rng rng(7);
    const SegmentCoder coder(DataType::float32, RedOp::sum, how);
    std::vector<std::vector<float>> inputs(world, std::vector<float>(count));
    for (auto& input : inputs)
      for (std::size_t i = 0; i < count; i += 2) {
        const auto uniform = [&] {
          return (static_cast<double>(rng.next() >> 11) + 1) / 9007199254740993.0;
        };
        const double radius = std::sqrt(-2 * std::log(uniform())), angle = 6.283185307 * uniform();
        input[i] = static_cast<float>(radius * std::cos(angle));
        input[i + 1] = static_cast<float>(radius * std::sin(angle));
      }
    std::vector<std::byte> segment(coder.bytes(count));
    coder.encode(segment.data(), inputs[0].data(), count);
    for (std::uint32_t rank = 1; rank + 1 < world; ++rank)
      coder.reduce(segment.data(), inputs[rank].data(), count);
    coder.complete(segment.data(), inputs[world - 1].data(), count, world);
    std::vector<float> result(count);
    coder.decode(result.data(), segment.data(), count);
    double error = 0, size = 0;
    for (std::size_t i = 0; i < count; ++i) {
      double exact = 0;
      for (const auto& input : inputs) exact += static_cast<double>(input[i]);
      error += (result[i] - exact) * (result[i] - exact);
      size += exact * exact;
    }
    const double reached = std::sqrt(error / size);
    std::printf("%s to %s, world %u: relative L2 error %.4f\n",
                std::string(name_of(how.algorithm)).c_str(), std::string(name_of(how.code)).c_str(),
                world, reached);
    EXPECT_LT(reached, relative);
    EXPECT_GT(reached, relative / 10);
  }
}

}  // namespace
}  // namespace pccl::collective
