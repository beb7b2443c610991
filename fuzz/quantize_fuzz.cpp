// Quantization by every set of kernels against `scalar`, bit for bit: arbitrary elements on their
// way out, arbitrary codes and ranges on their way in, the forms that a ring needs.
//
// Input: type, code, levels, block, how far off alignment, op and world size, one byte each; then
// the elements, whose bytes serve as incoming codes and ranges as well. Buffers are of the exact
// size, so that a sanitizer sees one byte too many.
#include <cstring>
#include <memory>
#include <string>

#include "input.hpp"
#include "kernels/quantize.hpp"

namespace {

using namespace pccl;
using namespace pccl::kernels;

class Buffer {
 public:
  Buffer(std::size_t size, std::size_t offset)
      : bytes_(new std::uint8_t[offset + size]()), size_(size), offset_(offset) {}
  std::uint8_t* data() { return bytes_.get() + offset_; }
  std::size_t size() const { return size_; }

  // As many of these bytes as fit, over and over.
  void fill_from(std::span<const std::uint8_t> content) {
    for (std::size_t i = 0; i < size_ && !content.empty(); ++i)
      data()[i] = content[i % content.size()];
  }
  bool equals(Buffer& other) { return size_ == 0 || std::memcmp(data(), other.data(), size_) == 0; }

 private:
  std::unique_ptr<std::uint8_t[]> bytes_;
  std::size_t size_, offset_;
};

struct Case {
  Quantization quantization;
  std::size_t offset, count;
  RedOp op;
  std::uint32_t world_size;
  std::span<const std::uint8_t> elements;
};

// Everything that a quantizer does with a case.
struct Outcome {
  Buffer codes, ranges, found, back, foreign, sums, sum_ranges, hop_codes, hop_ranges;

  Outcome(const Quantizer& quantizer, const Case& input)
      : codes(quantizer.code_bytes(input.count), input.offset),
        ranges(quantizer.range_bytes(input.count), input.offset),
        found(ranges.size(), input.offset),
        back(input.elements.size(), input.offset),
        foreign(input.elements.size(), input.offset),
        sums(input.count * size_of(accumulator_of(input.quantization.type)), input.offset),
        sum_ranges(ranges.size(), input.offset),
        hop_codes(codes.size(), input.offset),
        hop_ranges(ranges.size(), input.offset) {
    Buffer values(input.elements.size(), input.offset);
    values.fill_from(input.elements);
    quantizer.quantize({codes.data(), ranges.data()}, values.data(), input.count);
    quantizer.find_ranges(found.data(), values.data(), input.count);
    quantizer.dequantize(back.data(), {codes.data(), ranges.data()}, input.count);

    Buffer wild_codes(codes.size(), input.offset), wild_ranges(ranges.size(), input.offset);
    wild_codes.fill_from(input.elements);
    wild_ranges.fill_from(input.elements);
    const QuantizedView wild{wild_codes.data(), wild_ranges.data()};
    quantizer.dequantize(foreign.data(), wild, input.count);
    quantizer.dequantize_reduce(input.op, sums.data(), wild, values.data(), input.count,
                                sum_ranges.data());
    // In place.
    hop_codes.fill_from(input.elements);
    hop_ranges.fill_from(input.elements);
    Buffer scratch(sums.size(), input.offset);
    quantizer.requantize(input.op, {hop_codes.data(), hop_ranges.data()},
                         {hop_codes.data(), hop_ranges.data()}, values.data(), input.count,
                         scratch.data(), input.world_size);
    quantizer.encode({wild_codes.data(), wild_ranges.data()}, values.data(), input.count);
  }

  bool equals(Outcome& other) {
    return codes.equals(other.codes) && ranges.equals(other.ranges) && found.equals(other.found) &&
           back.equals(other.back) && foreign.equals(other.foreign) && sums.equals(other.sums) &&
           sum_ranges.equals(other.sum_ranges) && hop_codes.equals(other.hop_codes) &&
           hop_ranges.equals(other.hop_ranges);
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr DataType types[] = {DataType::float16, DataType::bfloat16, DataType::float32,
                                DataType::float64};
  constexpr Levels levels[] = {Levels::min_max, Levels::zero_point_scale};
  constexpr std::size_t blocks[] = {64, 128, 1024, 2048, 1 << 20};
  fuzz::Input input(data, size);
  Case now{.quantization = {.type = input.pick(types),
                            .code = static_cast<Code>(input.below(code_count)),
                            .levels = input.pick(levels),
                            .block_elements = input.pick(blocks)},
           .offset = input.below(64),
           .op = static_cast<RedOp>(input.below(red_op_count)),
           .world_size = 1u + static_cast<std::uint32_t>(input.below(256))};
  const std::size_t element_bytes = size_of(now.quantization.type);
  now.count = input.rest().size() / element_bytes;
  now.elements = input.rest().first(now.count * element_bytes);

  Outcome expected(Quantizer(now.quantization, scalar_kernels), now);
  fuzz::require(expected.ranges.equals(expected.found), "quantize writes what find_ranges finds");
  for (const KernelSet* set : available_kernel_sets()) {
    Outcome actual(Quantizer(now.quantization, *set), now);
    const std::string what = std::string(set->name) + " quantizes like scalar";
    fuzz::require(actual.equals(expected), what.c_str());
  }
  return 0;
}
