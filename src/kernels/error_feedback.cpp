// Block by block, which stays in the first-level cache through all steps: value and residual are
// added up, encoded as accumulators, decoded again, and subtracted.
#include "kernels/error_feedback.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/status.hpp"

namespace pccl::kernels {

namespace {

// Element by element, since the sums of float64 with residuals of float32 have no kernel. All plain
// loops, which the compiler vectorises for the baseline.
void add_doubles(double* __restrict sums, const std::byte* __restrict values,
                 const float* __restrict residual, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    double value;
    std::memcpy(&value, values + i * sizeof value, sizeof value);
    sums[i] = value + static_cast<double>(residual[i]);
  }
}

template <typename Real>
void note_losses(float* __restrict residual, const Real* __restrict meant,
                 const Real* __restrict said, std::size_t count, Real factor) {
  constexpr std::uint32_t magnitude = 0x7fff'ffff, infinity = 0x7f80'0000;
  for (std::size_t i = 0; i < count; ++i) {
    const auto lost = static_cast<float>((meant[i] - said[i]) * factor);
    const bool finite = (std::bit_cast<std::uint32_t>(lost) & magnitude) < infinity;
    residual[i] = finite ? lost : residual[i];
  }
}

}  // namespace

FeedbackQuantizer::FeedbackQuantizer(const Quantization& quantization, const KernelSet& set)
    : quantization_(quantization),
      accumulator_(accumulator_of(quantization.type)),
      wide_({accumulator_, quantization.code, quantization.levels, quantization.block_elements},
            set),
      set_(set) {}

std::size_t FeedbackQuantizer::scratch_elements(std::size_t count) const {
  return 3 * std::min(count, quantization_.block_elements);
}

void FeedbackQuantizer::quantize(Quantized out, const void* values, float* residual,
                                 std::size_t count, void* scratch) const {
  each_block(
      out, values, residual, count, scratch, 1,
      [&](Quantized block, std::size_t, const std::byte* local, std::byte*, std::size_t in_block) {
        wide_.quantize(block, local, in_block);
        return local;
      });
}

void FeedbackQuantizer::requantize(RedOp op, Quantized out, QuantizedView in, const void* values,
                                   float* residual, std::size_t count, void* scratch,
                                   std::uint32_t world_size) const {
  PCCL_INVARIANT(op == RedOp::sum || op == RedOp::avg);
  const bool averages = op == RedOp::avg;
  each_block(out, values, residual, count, scratch, averages ? world_size : 1,
             [&](Quantized block, std::size_t first, const std::byte* local, std::byte* sums,
                 std::size_t in_block) -> const std::byte* {
               const std::size_t index = first / quantization_.block_elements;
               const QuantizedView come{
                   static_cast<const std::byte*>(in.codes) + wide_.code_bytes(first),
                   static_cast<const std::byte*>(in.ranges) + index * 2 * size_of(accumulator_)};
               wide_.requantize(op, block, come, local, in_block, sums, world_size);
               return sums;
             });
}

// encode(block, its first element, value + residual, memory for sums, count) encodes a block and
// tells where what it has encoded lies.
template <typename Encode>
void FeedbackQuantizer::each_block(Quantized out, const void* values, float* residual,
                                   std::size_t count, void* scratch, std::uint32_t world_size,
                                   Encode encode) const {
  const std::size_t block_elements = quantization_.block_elements;
  const std::size_t part = std::min(count, block_elements) * size_of(accumulator_);
  std::byte* const local = static_cast<std::byte*>(scratch);
  std::byte* const sums = local + part;
  std::byte* const decoded = sums + part;
  for (std::size_t first = 0; first < count; first += block_elements) {
    const std::size_t in_block = std::min(block_elements, count - first);
    const Quantized block{
        static_cast<std::byte*>(out.codes) + wide_.code_bytes(first),
        static_cast<std::byte*>(out.ranges) + first / block_elements * 2 * size_of(accumulator_)};
    add(local, static_cast<const std::byte*>(values) + first * size_of(quantization_.type),
        residual + first, in_block);
    const std::byte* const meant = encode(block, first, local, sums, in_block);
    wide_.dequantize(decoded, {block.codes, block.ranges}, in_block);
    if (accumulator_ == DataType::float64)
      note_losses(residual + first, reinterpret_cast<const double*>(meant),
                  reinterpret_cast<const double*>(decoded), in_block,
                  static_cast<double>(world_size));
    else
      note_losses(residual + first, reinterpret_cast<const float*>(meant),
                  reinterpret_cast<const float*>(decoded), in_block,
                  static_cast<float>(world_size));
  }
}

void FeedbackQuantizer::add(void* sums, const void* values, const float* residual,
                            std::size_t count) const {
  if (quantization_.type == DataType::float64)
    return add_doubles(static_cast<double*>(sums), static_cast<const std::byte*>(values), residual,
                       count);
  if (quantization_.type != DataType::float32) {
    set_.widen(quantization_.type, sums, values, count);
    values = sums;
  }
  set_.reduce(RedOp::sum, DataType::float32, sums, values, residual, count);
}

}  // namespace pccl::kernels
