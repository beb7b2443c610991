// Quantization of one element type, for all codes; compiled once per type, since it is a lot.
#pragma once

#include "kernels/cuda/kernels.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/quantize_body.hpp"
#include "kernels/cuda/team.cuh"

namespace pccl::kernels::cuda {

template <DataType type, Code code>
__global__ void __launch_bounds__(threads_of_block) quantize_kernel(QuantizeStep step) {
  extern __shared__ double memory[];
  auto* const meant = reinterpret_cast<typename BlockCoder<type, code>::Real*>(memory);
  DeviceTeam team;
  const std::size_t blocks = (step.count + step.block_elements - 1) / step.block_elements;
  for (std::size_t block = blockIdx.x; block < blocks; block += gridDim.x)
    quantize_block<type, code>(team, step, block, meant);
}

template <DataType type, Code code>
__global__ void __launch_bounds__(threads_of_block) dequantize_kernel(DequantizeStep step) {
  DeviceTeam team;
  const std::size_t blocks = (step.count + step.block_elements - 1) / step.block_elements;
  for (std::size_t block = blockIdx.x; block < blocks; block += gridDim.x)
    dequantize_block<type, code>(team, step, block);
}

template <DataType type>
int quantize_type(Code code, const QuantizeStep& step, Stream stream) {
  using Real = typename ElementOf<type>::Value;
  const unsigned blocks = blocks_for(step.count / step.block_elements + 1);
  const std::size_t memory = step.block_elements * sizeof(Real);
  int error = cudaErrorInvalidValue;
  with_code(code, [&]<Code c>() {
    error = launch(quantize_kernel<type, c>, blocks, memory, stream, step);
  });
  return error;
}

template <DataType type>
int dequantize_type(Code code, const DequantizeStep& step, Stream stream) {
  const unsigned blocks = blocks_for(step.count / step.block_elements + 1);
  int error = cudaErrorInvalidValue;
  with_code(code, [&]<Code c>() {
    error = launch(dequantize_kernel<type, c>, blocks, 0, stream, step);
  });
  return error;
}

template <DataType type>
int load_type(Code code) {
  int error = cudaErrorInvalidValue;
  with_code(code, [&]<Code c>() {
    error = load(quantize_kernel<type, c>);
    if (error == 0) error = load(dequantize_kernel<type, c>);
  });
  return error;
}

}  // namespace pccl::kernels::cuda
