// A warp of a GPU as a team (quantize_body.hpp and lanes_body.hpp say what that is).
#pragma once

#include <cstddef>

#include "kernels/cuda/elements.hpp"
#include "kernels/cuda/lanes_body.hpp"
#include "kernels/cuda/launch.cuh"

namespace pccl::kernels::cuda {

// Its loops are not unrolled: they are for the blocks that lanes do not take, and there are
// hundreds of kernels.
class Warp {
 public:
  template <typename F>
  __device__ void each(std::size_t count, F f) {
#pragma unroll 1
    for (std::size_t i = lane(); i < count; i += warp_threads) f(i);
    __syncwarp();
  }

  template <typename Bits, typename F>
  __device__ Extremes extremes(std::size_t count, F f) {
    Scan<Bits> scan;
#pragma unroll 1
    for (std::size_t i = lane(); i < count; i += warp_threads) scan.see(f(i));
    return united(scan);
  }

  template <typename L>
  using Lanes = L;

  template <typename L, typename F>
  __device__ void each_lane(L& mine, F f) {
    f(mine, lane());
  }
  template <typename L>
  __device__ Extremes extremes_of(L& mine) {
    return united(mine.scan());
  }

 private:
  static __device__ unsigned lane() { return threadIdx.x % warp_threads; }

  template <typename Bits>
  static __device__ Extremes united(Scan<Bits> scan) {
    for (unsigned distance = warp_threads / 2; distance > 0; distance /= 2) {
      Scan<Bits> other;
      other.smallest = __shfl_xor_sync(~0u, scan.smallest, distance);
      other.largest = __shfl_xor_sync(~0u, scan.largest, distance);
      other.furthest = __shfl_xor_sync(~0u, scan.furthest, distance);
      scan.unite(other);
    }
    return scan.extremes();
  }
};

}  // namespace pccl::kernels::cuda
