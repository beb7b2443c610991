// The bodies of GPU kernels are functions that a CPU can run as well: their tests do, thread after
// thread, and so need no GPU.
#pragma once

namespace pccl::kernels::cuda {

inline constexpr unsigned warp_threads = 32;  // which exchange what is in their registers

}  // namespace pccl::kernels::cuda

#if defined(__CUDACC__)
#define PCCL_ANYWHERE __host__ __device__
#else
#define PCCL_ANYWHERE
#endif
