// Quantization that remembers what it has lost: the *residual* of an element is what the codes of
// its last quantization fall short of it, and is added to its next value. Over many rounds the
// losses then cancel instead of adding up: what has come out is off what went in by the residual of
// the last round, however many there were. (Seide et al., "1-bit stochastic gradient descent",
// Interspeech 2014; why training converges with it: Karimireddy et al., "Error feedback fixes
// SignSGD", ICML 2019.)
//
// In a ring every rank encodes every element once: alone where it sends first, summed with what has
// come elsewhere. So one residual per element and rank remembers all that this rank loses. Where
// the last hop divides, it is what the sum has lost.
//
// A residual stays as it was where what is lost is not a finite number: in a block with a NaN or an
// infinity. Codes and ranges are those of Quantizer, which decodes them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/quantize.hpp"

namespace pccl::kernels {

class FeedbackQuantizer {
 public:
  explicit FeedbackQuantizer(const Quantization& quantization,
                             const KernelSet& set = chosen_kernel_set());

  // Of accumulators; what `scratch` is for.
  std::size_t scratch_elements(std::size_t count) const;

  // As Quantizer's, of values[i] + residual[i]; the op adds (sum or avg). `out` may be the memory
  // of `in`; nothing else overlaps. residual[count] is read and written.
  void quantize(Quantized out, const void* values, float* residual, std::size_t count,
                void* scratch) const;
  void requantize(RedOp op, Quantized out, QuantizedView in, const void* values, float* residual,
                  std::size_t count, void* scratch, std::uint32_t world_size = 1) const;

 private:
  template <typename Encode>
  void each_block(Quantized out, const void* values, float* residual, std::size_t count,
                  void* scratch, std::uint32_t world_size, Encode encode) const;
  void add(void* sums, const void* values, const float* residual, std::size_t count) const;

  Quantization quantization_;
  DataType accumulator_;
  Quantizer wide_;  // of accumulators, with the same codes and ranges
  const KernelSet& set_;
};

}  // namespace pccl::kernels
