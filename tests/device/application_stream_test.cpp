// Calls that wait for a stream of the application's, or are refused for its sake: whoever waits can
// be called off, and a refusal costs nobody anything.
#include <gtest/gtest.h>
#include <pccl.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <future>
#include <thread>
#include <vector>

#include "base/limits.hpp"
#include "device/gpu_peers.hpp"

namespace pccl_test {
namespace {

using pccl::device::Stream;

class ApplicationStream : public GpuPeers {
 protected:
  static constexpr std::size_t count = 5000;
  const pcclReduceDescriptor_t sum = sum_of_floats(count);

  float* floats(std::byte* at, float value) const {
    auto* const data = reinterpret_cast<float*>(at);
    std::fill_n(data, count, value);
    return data;
  }
  float* on_gpu(float value) { return floats(memory(true, count * sizeof(float)), value); }
  pcclResult_t reduce(std::size_t peer, float* data) const {
    return pcclAllReduce(data, data, &sum, *comms[peer], nullptr);
  }
  pcclResult_t synchronize(std::size_t peer, float* data, pcclDeviceType_t where) const {
    pcclTensorInfo_t info{"w", data, count, pcclFloat, where, false};
    pcclSharedState_t state{1, 1, &info};
    return pcclSynchronizeSharedState(*comms[peer], &state,
                                      PCCL_SHARED_STATE_SYNC_STRATEGY_ENFORCE_POPULAR, nullptr);
  }
  Stream held_stream_of(std::size_t peer) {
    const Stream stream = cuda->application_stream();
    EXPECT_EQ(pcclSetStream(*comms[peer], stream), pcclSuccess);
    cuda->hold(stream);
    return stream;
  }
};

// ---- calls that wait

class InterruptedWait : public ApplicationStream {
 protected:
  InterruptedWait() {
    pcclSetInterruptCheck([] { return wants_out; });
  }
  ~InterruptedWait() override { pcclSetInterruptCheck(nullptr); }

  // Peer 0 gives up a wait for its stream, which is held all the time; peer 1 goes on.
  template <typename Call>
  void expect_left(Call call) {
    connect(2);
    const Stream held = held_stream_of(0);
    const pcclResult_t result = std::async(std::launch::async, [&] {
                                  wants_out = true;
                                  return call();
                                }).get();
    EXPECT_EQ(result, pcclInvalidUsage) << comms[0]->last_error();
    EXPECT_NE(comms[0]->last_error().find("interrupted by the application"), std::string::npos)
        << comms[0]->last_error();
    EXPECT_EQ(pcclUpdateTopology(*comms[0]), pcclUpdateTopologyFailed);
    EXPECT_NE(comms[0]->last_error().find("interrupted by the application"), std::string::npos)
        << comms[0]->last_error();
    std::vector<float> host(count, 1.0f);
    EXPECT_NE(reduce(1, host.data()), pcclSuccess);
    EXPECT_EQ(pcclUpdateTopology(*comms[1]), pcclSuccess);
    EXPECT_EQ(comms[1]->attribute(PCCL_ATTRIBUTE_GLOBAL_WORLD_SIZE), 1);
    cuda->let_go(held);
  }

 private:
  static thread_local bool wants_out;
};
thread_local bool InterruptedWait::wants_out = false;

TEST_F(InterruptedWait, OfAnAllReduceOfManagedMemory) {
  float* const data = floats(cuda->managed_memory(count * sizeof(float)), 1);
  expect_left([&] { return reduce(0, data); });
}

TEST_F(InterruptedWait, OfASyncOfTheGpusMemory) {
  float* const data = on_gpu(1);
  expect_left([&] { return synchronize(0, data, pcclDeviceCuda); });
}

TEST_F(ApplicationStream, TheEndOfTheCommunicatorEndsTheWait) {
  for (const bool syncs : {false, true}) {
    connect(1 + !syncs);
    const Stream held = held_stream_of(0);
    float* const data = floats(cuda->managed_memory(count * sizeof(float)), 1);
    std::thread waiting([&] {
      EXPECT_NE(syncs ? synchronize(0, data, pcclDeviceCuda) : reduce(0, data), pcclSuccess);
    });
    cuda->await_who_waits();
    comms[0]->destroy();
    waiting.join();
    cuda->let_go(held);
    comms.clear();
  }
}

// ---- refusals

// CUDA forbids the default stream while one that blocks it is captured, and calls the graph off.
TEST_F(ApplicationStream, ACaptureIsRefusedAndNotDisturbed) {
  connect(2);
  const std::array<float*, 2> data{on_gpu(1), on_gpu(2)};
  each(2, [&](std::size_t peer) { EXPECT_EQ(reduce(peer, data[peer]), pcclSuccess); });
  const Stream captured = cuda->application_stream();
  EXPECT_EQ(pcclSetStream(*comms[0], captured), pcclSuccess);
  cuda->begin_capture(captured);
  EXPECT_EQ(reduce(0, data[0]), pcclInternalError);
  EXPECT_EQ(synchronize(0, data[0], pcclDeviceCuda), pcclInternalError);
  EXPECT_TRUE(cuda->end_capture());
  each(2, [&](std::size_t peer) {
    EXPECT_EQ(reduce(peer, data[peer]), pcclSuccess) << comms[peer]->last_error();
    EXPECT_EQ(data[peer][count - 1], 6.0f);
  });
}

TEST_F(ApplicationStream, RefusedLaunchesLeaveNothingBehind) {
  connect(2);
  const std::array<float*, 2> data{on_gpu(1), on_gpu(2)};
  const Stream lost = cuda->application_stream();
  EXPECT_EQ(pcclSetStream(*comms[0], lost), pcclSuccess);
  cuda->fail_following(lost);
  EXPECT_EQ(reduce(0, data[0]), pcclInternalError);
  const std::size_t streams = cuda->live_streams(), bytes = cuda->live_device_bytes();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(reduce(0, data[0]), pcclInternalError);
  EXPECT_EQ(cuda->live_streams(), streams);
  EXPECT_EQ(cuda->live_device_bytes(), bytes);
  EXPECT_EQ(pcclSetStream(*comms[0], nullptr), pcclSuccess);
  each(2, [&](std::size_t peer) { EXPECT_EQ(reduce(peer, data[peer]), pcclSuccess); });
}

// It is refused for what it is, and takes nothing of the GPU first.
TEST_F(ApplicationStream, OfAPeerThatIsAlone) {
  connect(1);
  float* const data = on_gpu(1);
  cuda->fail_allocations_after(0);
  EXPECT_EQ(reduce(0, data), pcclTooFewPeers) << comms[0]->last_error();
}

// Small ops travel through the master: what has not been fetched must not be sent.
TEST_F(ApplicationStream, WhatIsNotFetchedIsNoInput) {
  for (const std::size_t failing : {0, 1}) {  // the copy to the host, and the one back
    connect(2);
    const std::array<float*, 2> data{on_gpu(1), floats(memory(false, count * sizeof(float)), 2)};
    const pcclReduceDescriptor_t few = sum_of_floats(10);
    const Stream held = held_stream_of(0);
    std::array<pcclAsyncReduceOp_t, 2> ops{};
    for (std::size_t peer = 0; peer < 2; ++peer)
      EXPECT_EQ(pcclAllReduceAsync(data[peer], data[peer], &few, *comms[peer], &ops[peer]),
                pcclSuccess);
    cuda->fail_copy(0, failing);
    cuda->let_go(held);
    each(2, [&](std::size_t peer) {
      const pcclResult_t result = pcclAwaitAsyncReduce(&ops[peer], nullptr);
      EXPECT_EQ(data[peer][9], result == pcclSuccess ? 3.0f : static_cast<float>(peer + 1));
      EXPECT_EQ(result == pcclSuccess, failing == 1 && peer == 1);
    });
    comms.clear();
  }
}

// Launches that wait for the stream count as ops in flight.
TEST_F(ApplicationStream, HoldsBackNoMoreThanMayBeInFlight) {
  connect(2);
  constexpr std::size_t most = pccl::limits::ops_in_flight, few = 10;
  const Stream held = held_stream_of(0);
  std::byte* const there = memory(true, (most + 1) * few * sizeof(float));
  const auto launch = [&](std::size_t peer, std::byte* at, std::size_t tag,
                          pcclAsyncReduceOp_t* op) {
    const pcclReduceDescriptor_t descriptor = sum_of_floats(few, tag);
    return pcclAllReduceAsync(at, at, &descriptor, *comms[peer], op);
  };
  std::vector<pcclAsyncReduceOp_t> ops(most);
  for (std::size_t tag = 0; tag < most; ++tag)
    ASSERT_EQ(launch(0, there + tag * few * sizeof(float), tag, &ops[tag]), pcclSuccess);
  pcclAsyncReduceOp_t one_more{};
  EXPECT_EQ(launch(0, there + most * few * sizeof(float), most, &one_more), pcclInvalidUsage);
  EXPECT_NE(comms[0]->last_error().find("1024 ops are in flight"), std::string::npos)
      << comms[0]->last_error();
  cuda->let_go(held);
  std::thread other([&] {
    std::vector<float> host(few);
    for (std::size_t tag = 0; tag < most; ++tag) {
      pcclAsyncReduceOp_t op{};
      EXPECT_EQ(launch(1, reinterpret_cast<std::byte*>(host.data()), tag, &op), pcclSuccess);
      EXPECT_EQ(pcclAwaitAsyncReduce(&op, nullptr), pcclSuccess) << comms[1]->last_error();
    }
  });
  for (pcclAsyncReduceOp_t& op : ops)
    EXPECT_EQ(pcclAwaitAsyncReduce(&op, nullptr), pcclSuccess) << comms[0]->last_error();
  other.join();
}

}  // namespace
}  // namespace pccl_test
