// The threads of a block of a GPU as a team (quantize_body.hpp says what that is).
#pragma once

#include <cstddef>

#include "kernels/cuda/elements.hpp"
#include "kernels/cuda/launch.cuh"

namespace pccl::kernels::cuda {

class DeviceTeam {
 public:
  template <typename F>
  __device__ void each(std::size_t count, F f) {
    for (std::size_t i = threadIdx.x; i < count; i += threads_of_block) f(i);
    __syncthreads();
  }

  template <typename Bits, typename F>
  __device__ Extremes extremes(std::size_t count, F f) {
    __shared__ Scan<Bits> of_warps[warps];
    Scan<Bits> scan;
    for (std::size_t i = threadIdx.x; i < count; i += threads_of_block) scan.see(f(i));
    unite_warp(scan);
    if (threadIdx.x % warp_threads == 0) of_warps[threadIdx.x / warp_threads] = scan;
    __syncthreads();
    for (unsigned warp = 0; warp < warps; ++warp) scan.unite(of_warps[warp]);
    __syncthreads();  // before anybody writes there again
    return scan.extremes();
  }

 private:
  static constexpr unsigned warp_threads = 32, warps = threads_of_block / warp_threads;

  template <typename Bits>
  static __device__ void unite_warp(Scan<Bits>& scan) {
    for (unsigned distance = warp_threads / 2; distance > 0; distance /= 2) {
      Scan<Bits> other;
      other.smallest = __shfl_xor_sync(~0u, scan.smallest, distance);
      other.largest = __shfl_xor_sync(~0u, scan.largest, distance);
      other.furthest = __shfl_xor_sync(~0u, scan.furthest, distance);
      scan.unite(other);
    }
  }
};

}  // namespace pccl::kernels::cuda
