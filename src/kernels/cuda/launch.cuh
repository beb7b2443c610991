// How many threads a kernel is launched with.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>

namespace pccl::kernels::cuda {

inline constexpr unsigned threads_of_block = 256;

// Enough for any GPU; each block goes on with what no other one has done.
inline constexpr std::size_t most_blocks = 8192;

inline unsigned blocks_for(std::size_t pieces) {
  return static_cast<unsigned>(std::clamp<std::size_t>(pieces, 1, most_blocks));
}

}  // namespace pccl::kernels::cuda
