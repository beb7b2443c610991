// Quantization of one element type, for all codes; compiled once per type, since it is a lot.
#pragma once

#include "kernels/cuda/kernels.hpp"
#include "kernels/cuda/lanes_body.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/team.cuh"

namespace pccl::kernels::cuda {

// Its warps take a block of the tensor each.
template <DataType type, Code code, bool has_come>
__global__ void __launch_bounds__(threads_of_warps, 1)
    quantize_kernel(QuantizeStep step, std::size_t blocks) {
  Warp warp;
  for (std::size_t block = first_of_warp(); block < blocks; block += stride_of_warps())
    quantize_any<type, code, has_come>(warp, step, block);
}

template <DataType type, Code code>
__global__ void __launch_bounds__(threads_of_warps, 1)
    dequantize_kernel(DequantizeStep step, std::size_t blocks) {
  Warp warp;
  for (std::size_t block = first_of_warp(); block < blocks; block += stride_of_warps())
    dequantize_any<type, code>(warp, step, block);
}

template <DataType type>
int quantize_type(Code code, const QuantizeStep& step, Stream stream) {
  const std::size_t blocks = block_count(step.count, step.block_elements);
  int error = cudaErrorInvalidValue;
  with_code(code, [&]<Code c>() {
    error = step.in.codes != nullptr
                ? launch_warps(quantize_kernel<type, c, true>, blocks, stream, step, blocks)
                : launch_warps(quantize_kernel<type, c, false>, blocks, stream, step, blocks);
  });
  return error;
}

template <DataType type>
int dequantize_type(Code code, const DequantizeStep& step, Stream stream) {
  const std::size_t blocks = block_count(step.count, step.block_elements);
  int error = cudaErrorInvalidValue;
  with_code(code, [&]<Code c>() {
    error = launch_warps(dequantize_kernel<type, c>, blocks, stream, step, blocks);
  });
  return error;
}

template <DataType type>
int load_type(Code code) {
  int error = cudaErrorInvalidValue;
  with_code(code, [&]<Code c>() {
    error = load(quantize_kernel<type, c, false>);
    if (error == 0) error = load(quantize_kernel<type, c, true>);
    if (error == 0) error = load(dequantize_kernel<type, c>);
  });
  return error;
}

}  // namespace pccl::kernels::cuda
