// How a kernel is launched, and with how many threads.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>

#include "kernels/cuda/anywhere.hpp"

namespace pccl::kernels::cuda {

inline constexpr unsigned threads_of_block = 256;

// Where each warp works for itself: few, so that a short tensor's warps are on many processors.
inline constexpr unsigned warps_of_block = 2, threads_of_warps = warps_of_block * warp_threads;

// Enough for any GPU; each block goes on with what no other one has done.
inline constexpr std::size_t most_blocks = 8192;

inline unsigned blocks_for(std::size_t pieces) {
  return static_cast<unsigned>(std::clamp<std::size_t>(pieces, 1, most_blocks));
}

// Gives the launch's own error. After <<<>>> there is only the thread's last one, which may be of
// anything that the application has done before.
template <typename... Parameters, typename... Arguments>
int launch(void (*kernel)(Parameters...), unsigned blocks, unsigned threads, cudaStream_t stream,
           const Arguments&... arguments) {
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(blocks);
  config.blockDim = dim3(threads);
  config.stream = stream;
  return cudaLaunchKernelEx(&config, kernel, arguments...);
}

// A kernel whose warps take one of `pieces` after the other: from first_of_warp() on.
template <typename... Parameters, typename... Arguments>
int launch_warps(void (*kernel)(Parameters...), std::size_t pieces, cudaStream_t stream,
                 const Arguments&... arguments) {
  return launch(kernel, blocks_for((pieces - 1) / warps_of_block + 1), threads_of_warps, stream,
                arguments...);
}

__device__ inline std::size_t first_of_warp() {
  return std::size_t{blockIdx.x} * warps_of_block + threadIdx.x / warp_threads;
}
__device__ inline std::size_t stride_of_warps() {
  return std::size_t{gridDim.x} * warps_of_block;
}

// A kernel that is launched for the first time is loaded then, and that may wait for all that the
// GPU does. This loads it and launches nothing.
template <typename... Parameters>
int load(void (*kernel)(Parameters...)) {
  cudaFuncAttributes unused;
  return cudaFuncGetAttributes(&unused, kernel);
}

}  // namespace pccl::kernels::cuda
