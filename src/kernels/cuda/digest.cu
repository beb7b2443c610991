#include "kernels/cuda/digest_body.hpp"
#include "kernels/cuda/kernels.hpp"
#include "kernels/cuda/launch.cuh"

namespace pccl::kernels::cuda {

namespace {

// Blocks that are read before it is their turn: a GPU reads memory at its full rate when each of
// the few warps there are (a job is one warp's) has that much under way.
constexpr unsigned blocks_ahead = 4;

// A warp. Each thread keeps the accumulator of its word; four threads keep the same.
class DigestWarp {
 public:
  using D = LongDigest;

  __device__ explicit DigestWarp(const std::byte* secret)
      : keys_(D::keys_at(secret, thread())),
        scramble_key_(D::scramble_key_at(secret, thread() % D::words)),
        accumulator_(D::begun(thread() % D::words)) {}

  __device__ void add_blocks(const std::byte* input, std::uint64_t blocks) {
    if (blocks == 0) return;
    // Behind the last one it is read again: that takes no branch, and reads nothing else.
    const auto read = [&](std::uint64_t block) {
      block = block < blocks ? block : blocks - 1;
      return D::words_at(input + block * D::block_bytes, thread());
    };
    D::Words ahead[blocks_ahead];
    for (unsigned i = 0; i < blocks_ahead; ++i) ahead[i] = read(i);
    for (std::uint64_t first = 0; first < blocks; first += blocks_ahead)
      for (unsigned i = 0; i < blocks_ahead; ++i) {
        if (first + i >= blocks) return;
        const D::Words words = ahead[i];
        ahead[i] = read(first + i + blocks_ahead);
        add(D::part_of_block(words, keys_));
        accumulator_ = D::scrambled(accumulator_, scramble_key_);
      }
  }

  __device__ void add_stripes(const std::byte* block, std::size_t stripes) {
    add(D::part_of_stripes(block, stripes, keys_, thread()));
  }

  __device__ void add_stripe(const std::byte* input, const std::byte* secret) {
    add(D::part_of_stripe(input, secret, thread()));
  }

  __device__ void finish(std::uint64_t bytes, const std::byte* secret, std::uint8_t* octets) {
    std::uint64_t all[D::words];
    for (unsigned i = 0; i < D::words; ++i)
      all[i] = __shfl_sync(~0u, accumulator_, static_cast<int>(i));
    if (thread() == 0) D::finish(all, bytes, secret, octets);
  }

 private:
  static __device__ unsigned thread() { return threadIdx.x % warp_threads; }

  __device__ void add(D::Part part) {
    for (unsigned distance = D::words; distance < warp_threads; distance *= 2) {
      part.product += __shfl_xor_sync(~0u, part.product, distance);
      part.word += __shfl_xor_sync(~0u, part.word, distance);
    }
    accumulator_ += part.product + __shfl_xor_sync(~0u, part.word, 1);
  }

  D::Words keys_;
  std::uint64_t scramble_key_, accumulator_;
};

__global__ void __launch_bounds__(threads_of_warps, 1)
    digest_kernel(const DigestJob* jobs, std::size_t count, std::uint8_t* octets,
                  const std::byte* secret) {
  for (std::size_t job = first_of_warp(); job < count; job += stride_of_warps()) {
    DigestWarp warp(secret);
    digest_job(warp, jobs[job].input, jobs[job].bytes, secret, octets + 16 * job);
  }
}

}  // namespace

int digest(const DigestJob* jobs, std::size_t count, std::uint8_t* octets, const std::byte* secret,
           Stream stream) {
  if (count == 0) return 0;
  return launch_warps(digest_kernel, count, stream, jobs, count, octets, secret);
}

}  // namespace pccl::kernels::cuda
