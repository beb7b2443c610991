// The kernels of a GPU give the bits of `scalar`: on a GPU where there is one, and everywhere on
// the CPU, their bodies thread after thread, and (PCCL_TEST_SIMT) launched on fibers.
#include <gtest/gtest.h>

#include <cstring>

#include "kernels/cuda/digest_body.hpp"
#include "kernels/digest.hpp"
#include "kernels/error_feedback.hpp"
#include "runner.hpp"

namespace pccl::kernels {
namespace {

using reference::all_quantizations;
using reference::Bytes;
using reference::difference;
using reference::QuantizedBytes;
using reference::told;

template <typename Runner>
class Cuda : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = Runner::why_not(); !why.empty()) GTEST_SKIP() << why;
  }
};

#if defined(PCCL_TEST_SIMT)
using Runners = testing::Types<DeviceRunner>;
#elif defined(PCCL_TEST_CUDA)
using Runners = testing::Types<HostRunner, DeviceRunner>;
#else
using Runners = testing::Types<HostRunner>;
#endif
struct RunnerNames {
  template <typename Runner>
  static std::string GetName(int) {
    if (std::is_same_v<Runner, HostRunner>) return "OnTheCpu";
#if defined(PCCL_TEST_SIMT)
    return "OnFibers";
#else
    return "OnAGpu";
#endif
  }
};
TYPED_TEST_SUITE(Cuda, Runners, RunnerNames);

TYPED_TEST(Cuda, ReducesLikeScalar) {
  std::mt19937_64 random{51};
  for (const DataType type : reference::all_types())
    for (const std::size_t count : {1u, 16u, 1000u, 4099u, 70'001u}) {
      const Bytes a = reference::random_elements(type, count, random),
                  b = reference::random_elements(type, count, random);
      for (const RedOp op : reference::all_ops()) {
        Bytes expected(a.size());
        scalar_kernels.reduce(op, type, expected.data(), a.data(), b.data(), count);
        for (const std::size_t shift : {0u, 1u})
          ASSERT_EQ(difference(type, TypeParam::reduce(op, type, a, b, shift), expected), "")
              << name_of(type) << " " << name_of(op) << " " << count << " " << shift;
      }
    }
}

TYPED_TEST(Cuda, ReducesEveryHalfLikeScalar) {  // against a few others
  std::vector<std::uint64_t> every(0x10000);
  for (std::size_t bits = 0; bits < every.size(); ++bits) every[bits] = bits;
  for (const DataType type : {DataType::float16, DataType::bfloat16, DataType::int16}) {
    const Bytes a = reference::bytes_of(type, every);
    for (const std::uint64_t other : reference::special_values(type)) {
      const Bytes b = reference::bytes_of(type, std::vector<std::uint64_t>(every.size(), other));
      for (const RedOp op : reference::all_ops()) {
        Bytes expected(a.size());
        scalar_kernels.reduce(op, type, expected.data(), a.data(), b.data(), every.size());
        ASSERT_EQ(difference(type, TypeParam::reduce(op, type, a, b, 0), expected), "")
            << name_of(type) << " " << name_of(op);
      }
    }
  }
}

TYPED_TEST(Cuda, AveragesLikeScalar) {
  std::mt19937_64 random{53};
  for (const DataType type : reference::all_types())
    for (const std::uint32_t world : {1u, 3u, 16u, 1000u, 0x0100'0001u, 0xffff'ffffu}) {
      const Bytes sums = reference::random_elements(type, 5000, random);
      Bytes expected = sums;
      scalar_kernels.average(type, expected.data(), 5000, world);
      ASSERT_EQ(difference(type, TypeParam::average(type, sums, world), expected), "")
          << name_of(type) << " " << world;
    }
}

// Ordinary numbers, and in some blocks whatever bits can be.
Bytes elements(DataType type, std::size_t count, std::size_t block, std::mt19937_64& random) {
  std::normal_distribution<double> normal{0, 1};
  std::vector<double> numbers(count);
  for (double& number : numbers) number = normal(random);
  Bytes data = reference::bytes_of_numbers(type, numbers);
  reference::make_some_blocks_wild(data, type, block, random);
  return data;
}

// What a first sender, the next rank and a receiver have.
struct Journey {
  QuantizedBytes first, second;
  Bytes decoded;
  std::vector<float> residual;
};

struct JourneyCase {
  Quantization quantization;
  RedOp op;
  std::uint32_t world_size;
  bool feedback;
  Bytes a, b;
  std::vector<float> residual;
  Shift shift;
};

Journey of_scalar(const JourneyCase& given) {
  const Quantizer scalar(given.quantization, scalar_kernels);
  const FeedbackQuantizer with_feedback(given.quantization, scalar_kernels);
  const std::size_t count = given.a.size() / size_of(given.quantization.type);
  Journey journey{{scalar, count}, {scalar, count}, Bytes(given.a.size()), given.residual};
  std::vector<double> scratch(with_feedback.scratch_elements(count));
  if (given.feedback) {
    with_feedback.quantize(journey.first.out(), given.a.data(), journey.residual.data(), count,
                           scratch.data());
    with_feedback.requantize(given.op, journey.second.out(), journey.first.view(), given.b.data(),
                             journey.residual.data(), count, scratch.data(), given.world_size);
  } else {
    scalar.quantize(journey.first.out(), given.a.data(), count);
    scalar.requantize(given.op, journey.second.out(), journey.first.view(), given.b.data(), count,
                      scratch.data(), given.world_size);
  }
  scalar.dequantize(journey.decoded.data(), journey.second.view(), count);
  return journey;
}

template <typename Runner>
Journey of_runner(const JourneyCase& given) {
  std::vector<float> residual = given.residual;
  StepCase step{.quantization = given.quantization,
                .op = given.op,
                .values = &given.a,
                .residual = given.feedback ? &residual : nullptr,
                .shift = given.shift};
  const QuantizedBytes first = Runner::quantize(step);
  step.in = &first;
  step.values = &given.b;
  step.world_size = given.world_size;
  const QuantizedBytes second = Runner::quantize(step);
  const std::size_t count = given.a.size() / size_of(given.quantization.type);
  return {first, second, Runner::dequantize(given.quantization, second, count, given.shift),
          residual};
}

void expect_equal(const JourneyCase& given, const Journey& out, const Journey& expected) {
  const std::string what = told(given.quantization) + " " + std::string(name_of(given.op)) + " " +
                           std::to_string(given.a.size()) + (given.feedback ? " feedback" : "");
  ASSERT_EQ(out.first, expected.first) << what;
  ASSERT_EQ(out.second, expected.second) << what;
  ASSERT_EQ(difference(given.quantization.type, out.decoded, expected.decoded), "") << what;
  ASSERT_EQ(std::memcmp(out.residual.data(), expected.residual.data(),
                        out.residual.size() * sizeof(float)),
            0)
      << what;
}

template <typename Runner>
void expect_like_scalar(const Quantization& q, RedOp op, bool feedback, std::size_t count,
                        std::mt19937_64& random, Shift shift = {}) {
  JourneyCase given{q,
                    op,
                    op == RedOp::avg ? 3u : 1u,
                    feedback,
                    elements(q.type, count, q.block_elements, random),
                    elements(q.type, count, q.block_elements, random),
                    std::vector<float>(count),
                    shift};
  for (float& number : given.residual) number = static_cast<float>(random() % 64) / 4096;
  expect_equal(given, of_runner<Runner>(given), of_scalar(given));
}

template <typename Runner>
void expect_like_scalar(const Quantization& q, const std::vector<std::size_t>& counts,
                        std::mt19937_64& random) {
  for (const std::size_t count : counts)
    for (const RedOp op : reference::all_ops())
      for (const bool feedback : {false, true}) {
        if (feedback && op != RedOp::sum && op != RedOp::avg) continue;
        expect_like_scalar<Runner>(q, op, feedback, count, random);
        if (testing::Test::HasFatalFailure()) return;
      }
}

// Fibers take their time.
#if defined(PCCL_TEST_SIMT)
const std::vector<std::size_t> short_counts{2, 127, 1000};
#else
const std::vector<std::size_t> short_counts{1, 2, 63, 64, 65, 127, 128, 129, 1000};
#endif

TYPED_TEST(Cuda, QuantizesLikeScalar) {
  std::mt19937_64 random{54};
  for (const Quantization& q : all_quantizations(128)) {
    expect_like_scalar<TypeParam>(q, short_counts, random);
    if (testing::Test::HasFatalFailure()) return;
  }
  for (const Quantization& q : all_quantizations(1024)) {
    expect_like_scalar<TypeParam>(q, {1023, 5000}, random);
    if (testing::Test::HasFatalFailure()) return;
  }
}

TYPED_TEST(Cuda, QuantizesAFewLikeScalar) {  // short enough for compute-sanitizer
  std::mt19937_64 random{57};
  for (const Quantization& q : all_quantizations(128)) {
    expect_like_scalar<TypeParam>(q, {1, 65, 1000}, random);
    if (testing::Test::HasFatalFailure()) return;
  }
  for (const Quantization& q : all_quantizations(1024)) {
    expect_like_scalar<TypeParam>(q, {1030}, random);
    if (testing::Test::HasFatalFailure()) return;
  }
}

TYPED_TEST(Cuda, QuantizesLikeScalarWhereverMemoryLies) {
  std::mt19937_64 random{57};
  for (const Quantization& q : all_quantizations(1024)) {
    const std::size_t code_bytes = std::max<std::size_t>(bits_of(q.code) / 8, 1);
    for (const Shift shift :
         {Shift{0, 8}, Shift{1, 0}, Shift{2, 4 * code_bytes}, {3, code_bytes}}) {
      expect_like_scalar<TypeParam>(q, RedOp::avg, true, 2100, random, shift);
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

std::vector<Quantization> small_and_whole_blocks() {
  std::vector<Quantization> all = all_quantizations(64);
  for (const Quantization& q : all_quantizations(1024)) all.push_back(q);
  return all;
}

TYPED_TEST(Cuda, DecodesWhatNoEncoderMakesLikeScalar) {
  std::mt19937_64 random{55};
  for (const Quantization& q : small_and_whole_blocks()) {
    const std::size_t count = q.block_elements == 64 ? 1000 : 20'000;
    QuantizedBytes packed(Quantizer{q}, count);
    for (std::byte& code : packed.codes) code = static_cast<std::byte>(random());
    packed.ranges = reference::random_elements(
        accumulator_of(q.type), packed.ranges.size() / size_of(accumulator_of(q.type)), random);
    Bytes expected(count * size_of(q.type));
    Quantizer(q, scalar_kernels).dequantize(expected.data(), packed.view(), count);
    ASSERT_EQ(difference(q.type, TypeParam::dequantize(q, packed, count, {}), expected), "")
        << told(q);
  }
}

TYPED_TEST(Cuda, DigestsLikeXxh3) {
  std::mt19937_64 random{56};
  std::vector<Bytes> inputs;
  for (const std::size_t size : {241u, 242u, 255u, 256u, 257u, 1023u, 1024u, 1025u, 1088u, 1089u,
                                 2048u, 4096u, 65536u, 65537u, 100'000u, 262'144u}) {
    ASSERT_GE(size, cuda::shortest_device_digest);
    Bytes& input = inputs.emplace_back(size);
    for (std::byte& byte : input) byte = static_cast<std::byte>(random());
  }
  const std::vector<Digest> digests = TypeParam::digests(inputs);
  for (std::size_t i = 0; i < inputs.size(); ++i)
    EXPECT_EQ(digests[i], digest(inputs[i])) << inputs[i].size();
}

}  // namespace
}  // namespace pccl::kernels
