#include "kernels/cuda/digest_body.hpp"
#include "kernels/cuda/kernels.hpp"
#include "kernels/cuda/launch.cuh"

namespace pccl::kernels::cuda {

namespace {

// A warp. Each thread keeps the accumulator of its word; four threads keep the same.
class DeviceDigestTeam {
 public:
  __device__ void begin() { accumulator_ = LongDigest::begun(word()); }

  __device__ void add(const std::byte* input, std::size_t stripes, const std::byte* secret) {
    LongDigest::Part part = LongDigest::part(input, stripes, secret, thread());
    for (unsigned distance = LongDigest::words; distance < digest_threads; distance *= 2) {
      part.product += __shfl_xor_sync(~0u, part.product, distance);
      part.word += __shfl_xor_sync(~0u, part.word, distance);
    }
    accumulator_ += part.product + __shfl_xor_sync(~0u, part.word, 1);
  }

  __device__ void scramble(const std::byte* secret) {
    accumulator_ = LongDigest::scrambled(accumulator_, word(), secret);
  }

  __device__ void finish(std::uint64_t bytes, const std::byte* secret, std::uint8_t* octets) {
    std::uint64_t all[LongDigest::words];
    for (unsigned i = 0; i < LongDigest::words; ++i)
      all[i] = __shfl_sync(~0u, accumulator_, static_cast<int>(i));
    if (thread() == 0) LongDigest::finish(all, bytes, secret, octets);
  }

 private:
  static __device__ unsigned thread() { return threadIdx.x % digest_threads; }
  static __device__ unsigned word() { return thread() % LongDigest::words; }

  std::uint64_t accumulator_;
};

__global__ void __launch_bounds__(threads_of_block)
    digest_kernel(const DigestJob* jobs, std::size_t count, std::uint8_t* octets,
                  const std::byte* secret) {
  constexpr unsigned teams = threads_of_block / digest_threads;
  DeviceDigestTeam team;
  for (std::size_t job = std::size_t{blockIdx.x} * teams + threadIdx.x / digest_threads;
       job < count; job += std::size_t{gridDim.x} * teams)
    digest_block(team, jobs[job].input, jobs[job].bytes, secret, octets + 16 * job);
}

}  // namespace

int digest(const DigestJob* jobs, std::size_t count, std::uint8_t* octets, const std::byte* secret,
           Stream stream) {
  if (count == 0) return 0;
  constexpr unsigned teams = threads_of_block / digest_threads;
  return launch(digest_kernel, blocks_for(count / teams + 1), threads_of_block, stream, jobs, count,
                octets, secret);
}

}  // namespace pccl::kernels::cuda
