// What the kernels of a GPU are told: the memory that a step works on, and how.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.hpp"
#include "kernels/codes.hpp"
#include "kernels/grid.hpp"

namespace pccl::kernels::cuda {

// A tensor in codes, as kernels/quantize.hpp lays it out, in `block_elements` each.
struct Codes {
  void* codes;
  void* ranges;
};

// One step of a quantized all-reduce. `in` of no codes: what is encoded is the values alone.
struct QuantizeStep {
  Codes out;
  Codes in;
  const void* values;  // [count] of the element type
  float* residual;     // [count], or null: no error feedback
  std::size_t count;
  std::size_t block_elements;
  Levels levels;
  RedOp op;
  std::uint32_t world_size;  // what an avg divides by; 1 but on the last hop
};

struct DequantizeStep {
  void* out;  // [count] of the element type
  Codes in;
  std::size_t count;
  std::size_t block_elements;
  Levels levels;
};

// Of bytes that are aligned to eight: their XXH3-128 in canonical form.
struct DigestJob {
  const std::byte* input;
  std::uint64_t bytes;  // at least shortest_device_digest
};
// Below, XXH3 is another function.
inline constexpr std::size_t shortest_device_digest = 241;  // bytes

}  // namespace pccl::kernels::cuda
