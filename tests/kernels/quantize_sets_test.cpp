// Every set quantizes and converts like `scalar`, bit for bit, at every length and alignment.
#include <gtest/gtest.h>

#include "kernels/convert.hpp"
#include "quantize_cases.hpp"

namespace pccl::kernels {
namespace {

using reference::all_quantizations;
using reference::Bytes;
using reference::QuantizedBytes;
using reference::told;

constexpr DataType half_types[] = {DataType::float16, DataType::bfloat16};

// Random numbers, and in some blocks whatever bits can be.
Bytes elements(DataType type, std::size_t count, std::size_t block, std::mt19937_64& random) {
  std::vector<double> numbers(count);
  std::normal_distribution<double> normal{0, 1};
  double scale = 1, offset = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (i % block == 0) {
      scale = std::ldexp(1.0, static_cast<int>(random() % 40) - 24);
      offset = random() % 2 == 0 ? 0 : normal(random);
    }
    numbers[i] = normal(random) * scale + offset;
  }
  Bytes data = reference::bytes_of_numbers(type, numbers);
  reference::make_some_blocks_wild(data, type, block, random);
  return data;
}

// `data` moved so that it starts `offset` bytes after an allocation, and ends with it.
class Misaligned {
 public:
  Misaligned(const Bytes& data, std::size_t offset)
      : bytes_(offset + data.size()), offset_(offset) {
    std::copy(data.begin(), data.end(), bytes_.begin() + static_cast<std::ptrdiff_t>(offset));
  }
  std::byte* data() { return bytes_.data() + offset_; }
  Bytes content() const {
    return {bytes_.begin() + static_cast<std::ptrdiff_t>(offset_), bytes_.end()};
  }

 private:
  Bytes bytes_;
  std::size_t offset_;
};

struct Outcome {
  Bytes codes, ranges, decoded, sums, sum_ranges, new_codes, new_ranges;
  bool operator==(const Outcome&) const = default;
};

Outcome outcome(const Quantization& q, const KernelSet& set, const Bytes& first,
                const Bytes& second, std::size_t offset) {
  const Quantizer quantizer(q, set);
  const std::size_t count = first.size() / size_of(q.type);
  const std::size_t accumulator_bytes = size_of(accumulator_of(q.type));
  const QuantizedBytes sizes(quantizer, count);
  Misaligned a(first, offset), b(second, offset + 1);
  Misaligned codes(sizes.codes, offset + 2), ranges(sizes.ranges, offset + 3);
  Misaligned decoded(Bytes(first.size()), offset), sum_ranges(sizes.ranges, offset);
  Misaligned sums(Bytes(count * accumulator_bytes), offset + 1);
  Misaligned new_codes(sizes.codes, offset), new_ranges(sizes.ranges, offset + 1);
  Misaligned scratch(Bytes(std::min(count, q.block_elements) * accumulator_bytes), offset + 3);
  const QuantizedView packed{codes.data(), ranges.data()};
  quantizer.quantize({codes.data(), ranges.data()}, a.data(), count);
  quantizer.dequantize(decoded.data(), packed, count);
  quantizer.dequantize_reduce(RedOp::sum, sums.data(), packed, b.data(), count, sum_ranges.data());
  quantizer.requantize(RedOp::avg, {new_codes.data(), new_ranges.data()}, packed, b.data(), count,
                       scratch.data(), 3);
  return {codes.content(),      ranges.content(),    decoded.content(),   sums.content(),
          sum_ranges.content(), new_codes.content(), new_ranges.content()};
}

TEST(KernelSets, QuantizeLikeScalarBitForBit) {
  std::mt19937_64 random{21};
  for (const Quantization& q : all_quantizations(128)) {
    for (const std::size_t count :
         {1u, 2u, 15u, 16u, 17u, 63u, 64u, 65u, 100u, 127u, 128u, 129u, 1000u, 5003u}) {
      const Bytes a = elements(q.type, count, 128, random),
                  b = elements(q.type, count, 128, random);
      const std::size_t offset = random() % 64;
      const Outcome expected = outcome(q, scalar_kernels, a, b, 0);
      for (const KernelSet* set : available_kernel_sets())
        ASSERT_EQ(outcome(q, *set, a, b, offset), expected)
            << set->name << " " << told(q) << " " << count;
    }
  }
}

TEST(KernelSets, QuantizeLikeScalarInBlocksBeyondATile) {
  std::mt19937_64 random{22};
  for (const Quantization& q : all_quantizations(4096)) {
    const Bytes a = elements(q.type, 9999, 4096, random), b = elements(q.type, 9999, 4096, random);
    const Outcome expected = outcome(q, scalar_kernels, a, b, 0);
    for (const KernelSet* set : available_kernel_sets())
      ASSERT_EQ(outcome(q, *set, a, b, 5), expected) << set->name << " " << told(q);
  }
}

TEST(KernelSets, DecodeWhatNoEncoderMakesLikeScalar) {
  std::mt19937_64 random{23};
  constexpr std::size_t count = 1000;
  for (const Quantization& q : all_quantizations(64)) {
    for (int round = 0; round < 8; ++round) {
      QuantizedBytes packed(Quantizer{q}, count);
      for (std::byte& code : packed.codes) code = static_cast<std::byte>(random());
      packed.ranges = reference::random_elements(
          accumulator_of(q.type), packed.ranges.size() / size_of(accumulator_of(q.type)), random);
      Bytes expected(count * size_of(q.type)), out(expected.size());
      Quantizer(q, scalar_kernels).dequantize(expected.data(), packed.view(), count);
      for (const KernelSet* set : available_kernel_sets()) {
        Quantizer(q, *set).dequantize(out.data(), packed.view(), count);
        ASSERT_EQ(reference::difference(q.type, out, expected), "") << set->name << " " << told(q);
      }
    }
  }
}

TEST(KernelSets, EncodeWhateverTheRangeLikeScalar) {  // also elements beyond it, and NaN
  std::mt19937_64 random{24};
  constexpr std::size_t count = 1000;
  for (const Quantization& q : all_quantizations(64)) {
    for (int round = 0; round < 8; ++round) {
      const Bytes values = reference::random_elements(q.type, count, random);
      QuantizedBytes expected(Quantizer{q}, count);
      expected.ranges = reference::random_elements(
          accumulator_of(q.type), expected.ranges.size() / size_of(accumulator_of(q.type)), random);
      QuantizedBytes out = expected;
      Quantizer(q, scalar_kernels).encode(expected.out(), values.data(), count);
      for (const KernelSet* set : available_kernel_sets()) {
        Quantizer(q, *set).encode(out.out(), values.data(), count);
        ASSERT_EQ(out, expected) << set->name << " " << told(q);
      }
    }
  }
}

TEST(KernelSets, ConvertLikeTheSingleElement) {
  std::mt19937_64 random{25};
  std::vector<std::uint64_t> every(0x10000);
  for (std::size_t bits = 0; bits < every.size(); ++bits) every[bits] = bits;
  for (const DataType type : half_types) {
    const Bytes halves = reference::bytes_of(type, every);
    const reference::HalfFormat format =
        type == DataType::float16 ? reference::float16 : reference::bfloat16;
    std::vector<double> numbers;
    for (const std::uint64_t bits : every)
      numbers.push_back(format.decode(static_cast<std::uint16_t>(bits)));
    const Bytes widened = reference::bytes_of_numbers(DataType::float32, numbers);
    const Bytes floats = reference::random_elements(DataType::float32, 5003, random);
    const Bytes narrowed =
        reference::bytes_of_numbers(type, reference::numbers_of(DataType::float32, floats));
    for (const KernelSet* set : available_kernel_sets()) {
      Bytes out(widened.size());
      set->widen(type, out.data(), halves.data(), every.size());
      EXPECT_EQ(reference::difference(DataType::float32, out, widened), "") << set->name;
      for (const std::size_t count : {0u, 1u, 7u, 8u, 9u, 15u, 16u, 17u, 31u, 33u, 5003u}) {
        const std::size_t offset = random() % 64;
        Misaligned from({floats.begin(), floats.begin() + static_cast<std::ptrdiff_t>(count * 4)},
                        offset);
        Misaligned to(Bytes(count * 2), offset + 1);
        set->narrow(type, to.data(), from.data(), count);
        const Bytes expected(narrowed.begin(),
                             narrowed.begin() + static_cast<std::ptrdiff_t>(count * 2));
        EXPECT_EQ(reference::difference(type, to.content(), expected), "") << set->name;
        Misaligned halves_again(expected, offset), back(Bytes(count * 4), offset + 3);
        set->widen(type, back.data(), halves_again.data(), count);
        EXPECT_EQ(
            reference::difference(DataType::float32, back.content(),
                                  reference::bytes_of_numbers(
                                      DataType::float32, reference::numbers_of(type, expected))),
            "")
            << set->name;
      }
    }
  }
}

TEST(Convert, TheChosenSetConverts) {
  const Bytes ones = reference::bytes_of_numbers(DataType::bfloat16, {1, -2});
  float widened[2];
  widen(DataType::bfloat16, widened, ones.data(), 2);
  EXPECT_EQ(widened[0], 1);
  EXPECT_EQ(widened[1], -2);
  Bytes narrowed(4);
  narrow(DataType::bfloat16, narrowed.data(), widened, 2);
  EXPECT_EQ(narrowed, ones);
}

}  // namespace
}  // namespace pccl::kernels
