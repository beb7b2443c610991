#include "collective/segment_coder.hpp"

#include <array>

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

}  // namespace

SegmentCoder::SegmentCoder(DataType type, RedOp op, const QuantizationOptions& quantization)
    : op_(op), quantizer_(quantization_of(type, quantization)) {}

std::size_t SegmentCoder::bytes(DataType type, const QuantizationOptions& quantization,
                                std::size_t count) {
  return SegmentCoder(type, RedOp::sum, quantization).bytes(count);
}

std::size_t SegmentCoder::bytes(std::size_t count) const {
  return quantizer_.range_bytes(count) + quantizer_.code_bytes(count);
}

void SegmentCoder::encode(std::byte* segment, const void* elements, std::size_t count) const {
  quantizer_.quantize(parts(segment, count), elements, count);
}

void SegmentCoder::decode(void* elements, const std::byte* segment, std::size_t count) const {
  quantizer_.dequantize(elements, parts(segment, count), count);
}

void SegmentCoder::reduce(std::byte* segment, const void* elements, std::size_t count) const {
  requantize(segment, elements, count, 1);
}

void SegmentCoder::complete(std::byte* segment, const void* elements, std::size_t count,
                            std::uint32_t world_size) const {
  requantize(segment, elements, count, world_size);
}

void SegmentCoder::requantize(std::byte* segment, const void* elements, std::size_t count,
                              std::uint32_t world_size) const {
  alignas(64) std::array<std::byte, block_elements * sizeof(double)> scratch;
  quantizer_.requantize(op_, parts(segment, count),
                        parts(static_cast<const std::byte*>(segment), count), elements, count,
                        scratch.data(), world_size);
}

kernels::Quantized SegmentCoder::parts(std::byte* segment, std::size_t count) const {
  return {.codes = segment + quantizer_.range_bytes(count), .ranges = segment};
}

kernels::QuantizedView SegmentCoder::parts(const std::byte* segment, std::size_t count) const {
  return {.codes = segment + quantizer_.range_bytes(count), .ranges = segment};
}

}  // namespace pccl::collective
