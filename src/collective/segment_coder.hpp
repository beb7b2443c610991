// How the elements of a quantized segment travel: the ranges of its blocks, then their codes
// (kernels/quantize.hpp). Blocks begin anew with every segment. Every hop of the reducing steps
// decodes what has come, combines it with the local input in the accumulator's precision and
// encodes the outcome once; who completes a segment takes what the others will decode.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.hpp"
#include "base/quantization.hpp"
#include "kernels/error_feedback.hpp"
#include "kernels/quantize.hpp"

namespace pccl::collective {

class SegmentCoder {
 public:
  SegmentCoder(DataType type, RedOp op, const QuantizationOptions& quantization);

  // On the wire, of so many elements.
  static std::size_t bytes(DataType type, const QuantizationOptions& quantization,
                           std::size_t count);
  std::size_t bytes(std::size_t count) const;

  const kernels::Quantization& quantization() const { return quantization_; }
  // Where they lie in a segment of so many elements.
  kernels::Quantized parts(std::byte* segment, std::size_t count) const;

  // `segment`: bytes(count) of it; `elements`: `count` of them; `residual`: as many, of the op's
  // error feedback (kernels/error_feedback.hpp), or null.
  void encode(std::byte* segment, const void* elements, std::size_t count,
              float* residual = nullptr) const;
  void decode(void* elements, const std::byte* segment, std::size_t count) const;
  // The segment of op(what it stands for, elements).
  void reduce(std::byte* segment, const void* elements, std::size_t count,
              float* residual = nullptr) const;
  // The same on the last hop: avg divides by the world size.
  void complete(std::byte* segment, const void* elements, std::size_t count,
                std::uint32_t world_size, float* residual = nullptr) const;

 private:
  void requantize(std::byte* segment, const void* elements, std::size_t count,
                  std::uint32_t world_size, float* residual) const;
  kernels::QuantizedView parts(const std::byte* segment, std::size_t count) const;

  RedOp op_;
  kernels::Quantization quantization_;
  kernels::Quantizer quantizer_;
  kernels::FeedbackQuantizer feedback_;
};

}  // namespace pccl::collective
