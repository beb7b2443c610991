#include "collective/segment_coder.hpp"

namespace pccl::collective {

namespace {

// Few enough that one outlier spoils few, enough that the ranges cost a percent beside 8-bit codes.
constexpr std::size_t block_elements = 1024;

kernels::Quantization quantization_of(DataType type, const QuantizationOptions& options) {
  const auto levels = options.algorithm == QuantizationAlgorithm::zero_point_scale
                          ? kernels::Levels::zero_point_scale
                          : kernels::Levels::min_max;
  return {type, options.code, levels, block_elements};
}

// Of one block: what either quantizer needs.
struct Scratch {
  alignas(64) std::byte memory[3 * block_elements * sizeof(double)];
};

}  // namespace

SegmentCoder::SegmentCoder(DataType type, RedOp op, const QuantizationOptions& quantization)
    : op_(op),
      quantization_(quantization_of(type, quantization)),
      quantizer_(quantization_),
      feedback_(quantization_) {}

std::size_t SegmentCoder::bytes(DataType type, const QuantizationOptions& quantization,
                                std::size_t count) {
  return SegmentCoder(type, RedOp::sum, quantization).bytes(count);
}

std::size_t SegmentCoder::bytes(std::size_t count) const {
  return quantizer_.range_bytes(count) + quantizer_.code_bytes(count);
}

void SegmentCoder::encode(std::byte* segment, const void* elements, std::size_t count,
                          float* residual) const {
  if (residual == nullptr) return quantizer_.quantize(parts(segment, count), elements, count);
  Scratch scratch;
  feedback_.quantize(parts(segment, count), elements, residual, count, scratch.memory);
}

void SegmentCoder::decode(void* elements, const std::byte* segment, std::size_t count) const {
  quantizer_.dequantize(elements, parts(segment, count), count);
}

void SegmentCoder::reduce(std::byte* segment, const void* elements, std::size_t count,
                          float* residual) const {
  requantize(segment, elements, count, 1, residual);
}

void SegmentCoder::complete(std::byte* segment, const void* elements, std::size_t count,
                            std::uint32_t world_size, float* residual) const {
  requantize(segment, elements, count, world_size, residual);
}

void SegmentCoder::requantize(std::byte* segment, const void* elements, std::size_t count,
                              std::uint32_t world_size, float* residual) const {
  Scratch scratch;
  const kernels::Quantized out = parts(segment, count);
  const kernels::QuantizedView in = parts(static_cast<const std::byte*>(segment), count);
  if (residual == nullptr)
    quantizer_.requantize(op_, out, in, elements, count, scratch.memory, world_size);
  else
    feedback_.requantize(op_, out, in, elements, residual, count, scratch.memory, world_size);
}

kernels::Quantized SegmentCoder::parts(std::byte* segment, std::size_t count) const {
  return {.codes = segment + quantizer_.range_bytes(count), .ranges = segment};
}

kernels::QuantizedView SegmentCoder::parts(const std::byte* segment, std::size_t count) const {
  return {.codes = segment + quantizer_.range_bytes(count), .ranges = segment};
}

}  // namespace pccl::collective
