// Quantization: elements become codes of a few bits, block by block. Each block carries its range
// (its lowest and its highest element), from which sender and receivers derive the same grid.
//
//   elements   [count] of float16, bfloat16, float32 or float64
//   codes      [count], bits_of(code) each, code_bytes(count) in all (codes.hpp tells the packing)
//   ranges     [block_count(count)] pairs {lowest, highest} of the accumulator type
//
// The *accumulator* of float64 is float64, that of the other types is float32: what sums are kept
// in, and what ranges are made of. A value that leaves for an element of float16 or bfloat16 is
// rounded to it last. Memory is of any alignment; outputs overlap no inputs unless said otherwise.
//
// Error of an element against what was encoded, before any rounding to 16 bits, where
// width = highest - lowest and top = max(|lowest|, |highest|) of its block, and s the number of
// codes less one (2^bits - 1; 2^52 - 1 for the 64-bit codes):
//
//   integer codes  0.51 width/s + top * 2^-22, with both Levels. Elements and accumulators of
//                  float64, and codes of 32 and 64 bits, compute in float64: there it is 2^-51,
//                  plus top * 2^-24 for the rounding to a float32 accumulator.
//   float8_e4m3    the larger of |x| * 2^-4 and top/448 * 2^-10    } 1.001 times that
//   float8_e5m2    the larger of |x| * 2^-3 and top/57344 * 2^-17  }
//   float4_e3m0    the larger of |x| / 3 and top * 2^-7            }
//
// Never less than the smallest normal number of the type that the block is computed in. Nothing is
// clipped, so one outlier costs its own block precision and no other. What is decoded lies within
// the range of the block; so
//   - a block of equal elements comes back exactly (-0 as 0),
//   - with zero_point_scale, in a block whose range contains 0, each 0 comes back as 0 exactly.
// A block in which any element is NaN or infinite is *void*: its range is a pair of canonical NaNs,
// its codes are zero, and all of it decodes to the canonical NaN. A range that no scan can give
// (reversed, not finite) is taken for void, and codes that no encoder gives for the nearest that
// one does: every input has a result.
//
// All of it is deterministic and gives the same bits from every set of kernels. The calling thread
// is in the standard floating-point environment (base/floating_point.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/dtype.hpp"
#include "kernels/codes.hpp"
#include "kernels/dispatch.hpp"
#include "kernels/grid.hpp"

namespace pccl::kernels {

struct Quantization {
  DataType type;  // of the elements
  Code code;
  Levels levels;               // of integer codes
  std::size_t block_elements;  // > 0, a multiple of 64
};

struct Quantized {
  void* codes;
  void* ranges;
};
struct QuantizedView {
  const void* codes;
  const void* ranges;
};

constexpr DataType accumulator_of(DataType type) {
  return type == DataType::float64 ? DataType::float64 : DataType::float32;
}

class Quantizer {
 public:
  explicit Quantizer(const Quantization& quantization, const KernelSet& set = chosen_kernel_set());

  std::size_t block_count(std::size_t count) const;
  std::size_t code_bytes(std::size_t count) const;
  std::size_t range_bytes(std::size_t count) const;

  // ranges of the blocks of values[count].
  void find_ranges(void* ranges, const void* values, std::size_t count) const;

  // Codes within ranges that are given: an element beyond them gets the nearest level, NaN any.
  void encode(Quantized out, const void* values, std::size_t count) const;

  // Both, block by block: values[count] are read from memory once.
  void quantize(Quantized out, const void* values, std::size_t count) const;

  // The last hop of a ring: out[count] of the element type.
  void dequantize(void* out, QuantizedView in, std::size_t count) const;

  // sums[i] = op(what in[i] stands for, values[i]), for `count` accumulators; avg adds. The values
  // are of the element type. `ranges`, unless null, receives those of the sums.
  void dequantize_reduce(RedOp op, void* sums, QuantizedView in, const void* values,
                         std::size_t count, void* ranges = nullptr) const;

  // A hop of a ring: quantizes op(what in[i] stands for, values[i]), rounding nothing in between.
  // avg divides by `world_size` where that is given, on the last hop. `out` may be the memory of
  // `in`. `scratch` is for min(count, block_elements) accumulators; afterwards it holds what has
  // been encoded of the last block.
  void requantize(RedOp op, Quantized out, QuantizedView in, const void* values, std::size_t count,
                  void* scratch, std::uint32_t world_size = 1) const;

 private:
  struct Block;
  Block block(std::size_t index, std::size_t count) const;
  void prefetch_elements(const void* values, const Block& block) const;
  Range range_at(const void* ranges, std::size_t index) const;
  void put_range(Range range, void* ranges, std::size_t index) const;
  std::optional<Grid> grid_within(Range range) const;
  Extremes reduce_block(RedOp op, void* sums, QuantizedView in, const void* values,
                        const Block& block, std::uint32_t world_size) const;
  void decode_tile(std::byte* accumulators, const std::byte* codes, std::size_t count,
                   const std::optional<Grid>& grid) const;
  void encode_block(void* codes, DataType type, const std::byte* values, const Block& block,
                    Range range) const;

  Quantization quantization_;
  DataType accumulator_;
  const KernelSet& set_;
};

}  // namespace pccl::kernels
