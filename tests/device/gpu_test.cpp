// Streams and memory of a GPU, on a stand-in for CUDA.
#include "device/gpu.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <numeric>
#include <vector>

#include "fake_runtime.hpp"

namespace pccl::device {
namespace {

using pccl_test::FakeRuntime;
using pccl_test::InstalledRuntime;

TEST(Queue, WorksInOrderAfterTheStreamThatItFollows) {
  InstalledRuntime cuda;
  std::vector<int> host(1000);
  std::iota(host.begin(), host.end(), 0);
  const std::size_t bytes = host.size() * sizeof(int);
  std::byte* const gpu = cuda->device_memory(bytes);
  const Stream application = cuda->application_stream();
  cuda->hold(application);
  cuda->put(application, [&] { std::memcpy(gpu, host.data(), bytes); });

  const auto queue = Gpu::at(0)->queue();
  std::vector<int> back(1000);
  std::atomic<bool> told = false;
  queue->follow(application);
  queue->copy(back.data(), gpu, bytes);
  queue->then([&] { told = true; });
  EXPECT_EQ(queue->check(), 0);
  EXPECT_FALSE(told);
  cuda->let_go(application);
  EXPECT_EQ(queue->wait(), 0);
  EXPECT_TRUE(told);
  EXPECT_EQ(back, host);
}

TEST(Queue, SaysOnceWhatHasGoneWrong) {
  InstalledRuntime cuda;
  const auto queue = Gpu::at(0)->queue();
  int here = 0, there = 0;
  queue->copy(&here, &there, sizeof(int));  // no memory of a GPU
  bool told = false;
  queue->then([&] { told = true; });
  EXPECT_TRUE(told);
  EXPECT_EQ(queue->why(), "invalid value");
  EXPECT_NE(queue->wait(), 0);
}

TEST(Queue, OfABrokenGpuAnswersWhoAsks) {
  InstalledRuntime cuda;
  const auto queue = Gpu::at(0)->queue();
  const Stream application = cuda->application_stream();
  cuda->hold(application);
  queue->follow(application);
  queue->then([] { FAIL() << "what was before it has not been done"; });
  EXPECT_EQ(queue->check(), 0);
  cuda->break_down();
  EXPECT_NE(queue->check(), 0);
  EXPECT_NE(queue->wait(), 0);
  EXPECT_EQ(queue->why(), "unspecified launch failure");
}

TEST(Gpu, KeepsItsMemoryForTheNext) {
  InstalledRuntime cuda;
  const auto gpu = Gpu::at(0);
  std::byte* first = nullptr;
  {
    const Memory memory = gpu->memory(1 << 20);
    first = memory.data();
    EXPECT_NE(gpu->memory(1 << 20).data(), first);
  }
  const Memory again = gpu->memory((1 << 20) - 5);
  EXPECT_TRUE(again.data() == first || cuda->live_device_bytes() == 2 << 20);
  EXPECT_EQ(cuda->live_device_bytes(), 2 << 20);
}

TEST(Gpu, GivesUpWhatItKeepsBeforeItRefuses) {
  InstalledRuntime cuda;
  const auto gpu = Gpu::at(0);
  gpu->memory(1 << 20);
  EXPECT_EQ(cuda->live_device_bytes(), 1 << 20);
  cuda->fail_allocations_after(0);
  try {
    gpu->memory(8 << 20);
    FAIL() << "it was given";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "GPU 0: no 8388608 bytes of its memory: out of memory");
  }
  EXPECT_EQ(cuda->live_device_bytes(), 0);
}

TEST(Gpu, HasNoneWithoutARuntime) {
  if (has_cuda_support()) GTEST_SKIP() << "this build has CUDA's";
  EXPECT_THROW(Gpu::at(0), std::runtime_error);
}

}  // namespace
}  // namespace pccl::device
