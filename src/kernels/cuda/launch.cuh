// How a kernel is launched, and with how many threads.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>
#include <tuple>

namespace pccl::kernels::cuda {

inline constexpr unsigned threads_of_block = 256;

// Enough for any GPU; each block goes on with what no other one has done.
inline constexpr std::size_t most_blocks = 8192;

inline unsigned blocks_for(std::size_t pieces) {
  return static_cast<unsigned>(std::clamp<std::size_t>(pieces, 1, most_blocks));
}

// Gives the launch's own error. After <<<>>> there is only the thread's last one, which may be of
// anything that the application has done before.
template <typename... Parameters, typename... Arguments>
int launch(void (*kernel)(Parameters...), unsigned blocks, std::size_t shared_bytes,
           cudaStream_t stream, const Arguments&... arguments) {
  std::tuple<Parameters...> values(arguments...);
  return std::apply(
      [&](Parameters&... value) -> int {
        void* places[] = {&value...};
        return cudaLaunchKernel(kernel, dim3(blocks), dim3(threads_of_block), places, shared_bytes,
                                stream);
      },
      values);
}

// A kernel that is launched for the first time is loaded then, and that may wait for all that the
// GPU does. This loads it and launches nothing.
template <typename... Parameters>
int load(void (*kernel)(Parameters...)) {
  cudaFuncAttributes unused;
  return cudaFuncGetAttributes(&unused, kernel);
}

}  // namespace pccl::kernels::cuda
