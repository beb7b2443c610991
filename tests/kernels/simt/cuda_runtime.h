// Stands in for CUDA's own header, so that an ordinary compiler compiles kernels as they are:
// launched, they run on simt::Machine, and memory of the GPU is the heap's.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "machine.hpp"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static  // blocks run one after another

using dim3_index = pccl_test::simt::Index;
inline const dim3_index& threadIdx = pccl_test::simt::thread_index;
inline const dim3_index& blockIdx = pccl_test::simt::block_index;
inline const dim3_index& blockDim = pccl_test::simt::block_size;
inline const dim3_index& gridDim = pccl_test::simt::grid_size;

struct dim3 {
  unsigned x, y = 1, z = 1;
  dim3(unsigned width = 1) : x(width) {}  // implicit, as in CUDA
};

// ---- in a kernel

inline void __syncthreads(std::source_location where = std::source_location::current()) {
  pccl_test::simt::Machine::the().sync_threads(where);
}
inline void __syncwarp(unsigned mask = ~0u,
                       std::source_location where = std::source_location::current()) {
  pccl_test::simt::Machine::the().sync_warp(mask, where);
}
template <typename T>
T __shfl_sync(unsigned mask, T value, int lane,
              std::source_location where = std::source_location::current()) {
  static_assert(std::is_arithmetic_v<T> && sizeof(T) >= 4);  // what CUDA has
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = pccl_test::simt::Machine::the().shuffle(mask, bits, static_cast<unsigned>(lane), where);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, unsigned distance,
                  std::source_location where = std::source_location::current()) {
  const unsigned lane = threadIdx.x % pccl_test::simt::warp_threads;
  return __shfl_sync(mask, value, static_cast<int>(lane ^ distance), where);
}

// ---- on the host

enum cudaError_t { cudaSuccess, cudaErrorInvalidValue, cudaErrorLaunchFailure = 719 };
enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2 };
struct cudaFuncAttributes {};
using cudaStream_t = struct CUstream_st*;
struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  std::size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
};

// The blocks are fewer than asked for: a kernel goes through what there is by itself, and a test of
// few elements so sees it go on.
template <typename... Parameters, typename... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               const Arguments&... arguments) {
  static std::uint64_t launches = 0;
  const std::uint64_t seed = ++launches;
  const unsigned asked = config->gridDim.x, blocks = asked < 3 ? asked : 2 + seed % 2;
  const std::string wrong = pccl_test::simt::Machine::the().run(
      blocks, config->blockDim.x, config->dynamicSmemBytes, seed, [&] { kernel(arguments...); });
  if (wrong.empty()) return cudaSuccess;
  ADD_FAILURE() << wrong;
  return cudaErrorLaunchFailure;
}
template <typename... Parameters>
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes*, void (*kernel)(Parameters...)) {
  return kernel != nullptr ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaMalloc(void** memory, std::size_t bytes);
cudaError_t cudaFree(void* memory);
cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind);
cudaError_t cudaDeviceSynchronize();
cudaError_t cudaGetDeviceCount(int* count);
const char* cudaGetErrorString(cudaError_t error);
