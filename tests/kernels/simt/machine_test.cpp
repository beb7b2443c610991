// The GPU of the tests finds what is wrong with kernels that are.
#include "machine.hpp"

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include "cuda_runtime.h"

namespace {

using pccl_test::simt::Machine;

constexpr unsigned threads = 64;

std::string run(const std::function<void()>& kernel, std::size_t shared_bytes = 0,
                std::uint64_t seed = 1) {
  return Machine::the().run(2, threads, shared_bytes, seed, kernel);
}

bool says(const std::string& failure, const char* what) {
  return failure.find(what) != std::string::npos;
}

// Each thread gives its neighbour a number through shared memory; what arrived wrong is counted.
std::string pass_on(bool with_barrier, std::uint64_t seed, int& wrong) {
  return run(
      [&] {
        auto* const numbers = reinterpret_cast<unsigned*>(Machine::the().shared());
        numbers[threadIdx.x] = 1000 * blockIdx.x + threadIdx.x;
        if (with_barrier) __syncthreads();
        const unsigned neighbour = (threadIdx.x + 1) % threads;
        wrong += numbers[neighbour] != 1000 * blockIdx.x + neighbour;
      },
      threads * sizeof(unsigned), seed);
}

TEST(Simt, ThreadsMeetAtABarrier) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    int wrong = 0;
    EXPECT_EQ(pass_on(true, seed, wrong), "");
    EXPECT_EQ(wrong, 0);
  }
}

TEST(Simt, AMissingBarrierShows) {
  int wrong = 0;
  EXPECT_EQ(pass_on(false, 1, wrong), "");
  EXPECT_GT(wrong, 0);
}

TEST(Simt, WarpsAddUpByShuffles) {
  unsigned wrong = 0;
  EXPECT_EQ(run([&] {
              std::uint64_t sum = threadIdx.x;
              for (unsigned distance = 16; distance > 0; distance /= 2)
                sum += __shfl_xor_sync(~0u, sum, distance);
              const unsigned first = threadIdx.x / 32 * 32;
              wrong += sum != 32 * first + 31 * 16;
              wrong += __shfl_sync(~0u, static_cast<float>(threadIdx.x), 5) !=
                       static_cast<float>(first + 5);
            }),
            "");
  EXPECT_EQ(wrong, 0u);
}

TEST(Simt, PartsOfAWarpShuffleByThemselves) {
  unsigned wrong = 0;
  EXPECT_EQ(run([&] {
              if (threadIdx.x % 2 == 0) {
                const int lane = __shfl_xor_sync(0x5555'5555u, static_cast<int>(threadIdx.x), 2);
                wrong += lane != static_cast<int>(threadIdx.x ^ 2);
              }
              __syncwarp();
            }),
            "");
  EXPECT_EQ(wrong, 0u);
}

TEST(Simt, AThreadThatDoesNotComeToABarrierIsTold) {
  const std::string failure = run([] {
    if (threadIdx.x != 40) __syncthreads();
  });
  EXPECT_TRUE(says(failure, "thread 40 has ended")) << failure;
  EXPECT_TRUE(says(failure, "thread 41 at __syncthreads")) << failure;
}

TEST(Simt, LanesAtDifferentShufflesAreTold) {
  const std::string failure = run([] {
    if (threadIdx.x % 32 < 16)
      (void)__shfl_xor_sync(~0u, 1, 1);
    else
      (void)__shfl_xor_sync(~0u, 1, 2);
  });
  EXPECT_TRUE(says(failure, "thread 16 at a shuffle of ffffffff")) << failure;
}

TEST(Simt, LanesWithDifferentMasksAreTold) {
  const std::string failure = run([] { __syncwarp(threadIdx.x % 32 == 7 ? 0xffu : ~0u); });
  EXPECT_TRUE(says(failure, "thread 7 at __syncwarp of 000000ff")) << failure;
}

TEST(Simt, ALaneOutsideOfTheMaskIsTold) {
  const std::string asks = run([] {
    if (threadIdx.x % 32 < 16) (void)__shfl_xor_sync(0xffffu, 1, 16);
  });
  EXPECT_TRUE(says(asks, "which is not in the mask")) << asks;
  const std::string is = run([] { __syncwarp(0xffffu); });
  EXPECT_TRUE(says(is, "not in its own mask")) << is;
}

TEST(Simt, AWriteBehindSharedMemoryIsTold) {
  const std::string failure =
      run([] { reinterpret_cast<unsigned*>(Machine::the().shared())[threadIdx.x] = 0; },
          (threads - 1) * sizeof(unsigned));
  EXPECT_TRUE(says(failure, "behind the shared memory")) << failure;
  EXPECT_EQ(run([] {}), "");
}

TEST(Simt, AWriteBehindMemoryIsTold) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "AddressSanitizer ends the process";
#endif
  const auto write = [](std::ptrdiff_t at) {
    void* memory = nullptr;
    ASSERT_EQ(cudaMalloc(&memory, 100), cudaSuccess);
    static_cast<char*>(memory)[at] = 0;
    ASSERT_EQ(cudaFree(memory), cudaSuccess);
  };
  write(0);
  write(99);
  EXPECT_NONFATAL_FAILURE(write(100), "behind");
  EXPECT_NONFATAL_FAILURE(write(-1), "in front");
}

}  // namespace
