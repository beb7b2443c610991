// The shared state through the C API, on peers whose tensors lie on the host and on GPUs that the
// CPU plays.
#include <gtest/gtest.h>
#include <pccl.h>

#include <array>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "device/gpu_peers.hpp"

namespace {

using namespace std::chrono_literals;
using pccl_test::FakeRuntime;
using pccl_test::GpuPeers;

enum class Where : std::uint8_t { host, gpu, second_gpu, managed };

constexpr std::size_t block_bytes = 256 << 10;
// Large, a block, unaligned in its allocation when on a GPU, tiny ones, and nothing.
constexpr std::array<std::size_t, 7> sizes{3'000'003, block_bytes, 700'000, 1, 240, 241, 0};
constexpr std::array<const char*, 7> names{"a", "b", "c", "d", "e", "f", "g"};

// What one peer has.
class Tensors {
 public:
  Tensors(FakeRuntime& cuda, Where where, unsigned char fill) {
    for (std::size_t tensor = 0; tensor < sizes.size(); ++tensor)
      add(cuda, tensor % 2 == 1 && where == Where::second_gpu ? Where::host : where, tensor, fill);
  }

  pcclSharedState_t state(std::uint64_t revision) {
    return {revision, infos_.size(), infos_.data()};
  }
  std::byte* at(std::size_t tensor) { return static_cast<std::byte*>(infos_[tensor].data); }
  std::vector<std::vector<std::byte>> content() {
    std::vector<std::vector<std::byte>> all;
    for (std::size_t tensor = 0; tensor < sizes.size(); ++tensor)
      all.emplace_back(at(tensor), at(tensor) + sizes[tensor]);
    return all;
  }

 private:
  void add(FakeRuntime& cuda, Where where, std::size_t tensor, unsigned char fill) {
    const std::size_t bytes = sizes[tensor], offset = tensor == 2 ? 4 : 0;
    std::byte* data = nullptr;
    if (bytes == 0) {
    } else if (where == Where::host) {
      data = host_.emplace_back(std::make_unique<std::byte[]>(bytes)).get();
    } else if (where == Where::managed) {
      data = cuda.managed_memory(bytes);
    } else {
      data = cuda.device_memory(bytes + offset, where == Where::second_gpu ? 1 : 0) + offset;
    }
    for (std::size_t i = 0; i < bytes; ++i) data[i] = static_cast<std::byte>(fill + i / 1000);
    const bool cuda_tensor = where == Where::gpu || where == Where::second_gpu;
    infos_.push_back({names[tensor], data, bytes, pcclUint8,
                      cuda_tensor ? pcclDeviceCuda : pcclDeviceCpu, false});
  }

  std::vector<std::unique_ptr<std::byte[]>> host_;
  std::vector<pcclTensorInfo_t> infos_;
};

struct Synced {
  pcclResult_t result = pcclInternalError;
  std::uint64_t revision = 0;
  pcclSharedStateSyncInfo_t info{};
};

class DeviceSharedState : public GpuPeers {
 protected:
  using GpuPeers::GpuPeers;

  Synced sync(std::size_t peer, Tensors& tensors, std::uint64_t revision) {
    pcclSharedState_t state = tensors.state(revision);
    Synced synced;
    synced.result = pcclSynchronizeSharedState(
        *comms[peer], &state, PCCL_SHARED_STATE_SYNC_STRATEGY_ENFORCE_POPULAR, &synced.info);
    synced.revision = state.revision;
    return synced;
  }
  std::vector<Synced> sync(const std::vector<Tensors*>& tensors,
                           const std::vector<std::uint64_t>& revisions) {
    std::vector<Synced> all(comms.size());
    each(comms.size(),
         [&](std::size_t peer) { all[peer] = sync(peer, *tensors[peer], revisions[peer]); });
    for (std::size_t peer = 0; peer < comms.size(); ++peer)
      EXPECT_EQ(all[peer].result, pcclSuccess) << comms[peer]->last_error();
    return all;
  }
  static void wait_for(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (!condition() && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(1ms);
    EXPECT_TRUE(condition());
  }
};

// Work of GPUs is done by who waits for it, and not else.
class SlowDeviceSharedState : public DeviceSharedState {
 protected:
  SlowDeviceSharedState() : DeviceSharedState(FakeRuntime::Worker::nobody) {}
};

TEST_F(DeviceSharedState, FromEverywhereToEverywhere) {
  connect(2);
  std::uint64_t revision = 5;
  for (const Where from : {Where::host, Where::gpu, Where::second_gpu, Where::managed})
    for (const Where to : {Where::host, Where::gpu, Where::second_gpu, Where::managed}) {
      SCOPED_TRACE(testing::Message() << int(from) << " to " << int(to));
      Tensors holder(*cuda, from, 7), newcomer(*cuda, to, 8);
      const auto elected = holder.content();
      const auto synced = sync({&holder, &newcomer}, {revision, 0});
      EXPECT_EQ(holder.content(), elected);
      EXPECT_EQ(newcomer.content(), elected);
      EXPECT_EQ(synced[1].revision, revision);
      EXPECT_GT(synced[1].info.rx_bytes, 3'000'000U);
      EXPECT_EQ(synced[0].info.tx_bytes, synced[1].info.rx_bytes);
      ++revision;
    }
}

TEST_F(DeviceSharedState, ARevisionStepMovesOnlyWhatDiffers) {
  connect(3);
  Tensors one(*cuda, Where::gpu, 1), two(*cuda, Where::host, 1), three(*cuda, Where::gpu, 1);
  const std::vector<Tensors*> all{&one, &two, &three};
  sync(all, {1, 1, 1});

  const auto before = cuda->traffic();
  for (Tensors* tensors : all) std::memset(tensors->at(0), 9, sizes[0]);
  auto synced = sync(all, {2, 2, 2});
  for (const Synced& each : synced) EXPECT_EQ(each.info.rx_bytes + each.info.tx_bytes, 0U);
  const std::uint64_t unaligned = sizes[2], packed = 1 + 240 + 241;
  EXPECT_LT(cuda->traffic().from_device - before.from_device, 2 * (unaligned + packed + 1000));

  const auto then = cuda->traffic();
  for (Tensors* tensors : all) std::memset(tensors->at(1), 3, sizes[1]);
  three.at(0)[5 * block_bytes] ^= std::byte{1};
  synced = sync(all, {3, 3, 3});
  EXPECT_EQ(synced[2].info.rx_bytes, block_bytes);
  EXPECT_EQ(three.content(), one.content());
  EXPECT_EQ(two.content(), one.content());
  EXPECT_LT(cuda->traffic().to_device - then.to_device, block_bytes + 2000);
}

// What the application has put into its stream comes first.
TEST_F(DeviceSharedState, IsReadAfterTheApplicationsWork) {
  connect(2);
  std::uint64_t revision = 5;
  for (const Where where : {Where::gpu, Where::managed}) {
    Tensors holder(*cuda, where, 1), newcomer(*cuda, Where::host, 2);
    cuda->hold(nullptr);
    cuda->put(nullptr, [&] { std::memset(holder.at(0), 77, sizes[0]); });
    std::thread later([&] {
      cuda->await_who_waits();
      EXPECT_NE(holder.at(0)[0], std::byte{77});
      cuda->let_go(nullptr);
    });
    sync({&holder, &newcomer}, {revision++, 0});
    later.join();
    EXPECT_EQ(newcomer.at(0)[0], std::byte{77});
    EXPECT_EQ(newcomer.content(), holder.content());
  }
}

TEST_F(DeviceSharedState, RefusesWhatTheDeviceTypeDoesNotTell) {
  connect(1);
  std::array<float, 4> here{};
  void* const there = cuda->device_memory(16);
  std::uint64_t revision = 0;
  const auto result = [&](void* data, std::size_t count, pcclDeviceType_t type) {
    pcclTensorInfo_t info{"w", data, count, pcclFloat, type, false};
    pcclSharedState_t state{++revision, 1, &info};
    return pcclSynchronizeSharedState(*comms[0], &state,
                                      PCCL_SHARED_STATE_SYNC_STRATEGY_ENFORCE_POPULAR, nullptr);
  };
  EXPECT_EQ(result(here.data(), 4, pcclDeviceCuda), pcclInvalidArgument);
  EXPECT_NE(comms[0]->last_error().find("no memory of a GPU"), std::string::npos);
  EXPECT_EQ(result(there, 4, pcclDeviceCpu), pcclInvalidArgument);
  EXPECT_NE(comms[0]->last_error().find("device_type says CPU"), std::string::npos);
  EXPECT_EQ(result(nullptr, 4, pcclDeviceCuda), pcclInvalidArgument);
  EXPECT_EQ(result(nullptr, 0, pcclDeviceCuda), pcclSuccess) << comms[0]->last_error();
  EXPECT_EQ(result(there, 4, pcclDeviceCuda), pcclSuccess) << comms[0]->last_error();
  EXPECT_EQ(result(cuda->managed_memory(16), 4, pcclDeviceCuda), pcclSuccess);
}

// The others wait for it to come again.
TEST_F(DeviceSharedState, WithoutMemoryForDigestsMayBeTriedAgain) {
  connect(2);
  Tensors one(*cuda, Where::host, 1), two(*cuda, Where::gpu, 2);
  Synced patient;
  std::thread other([&] { patient = sync(0, one, 5); });
  cuda->fail_allocations_after(0);
  EXPECT_EQ(sync(1, two, 0).result, pcclInternalError);
  EXPECT_NE(comms[1]->last_error().find("GPU 0: no "), std::string::npos) << comms[1]->last_error();
  cuda->fail_allocations_after(SIZE_MAX);
  EXPECT_EQ(sync(1, two, 0).result, pcclSuccess) << comms[1]->last_error();
  other.join();
  EXPECT_EQ(patient.result, pcclSuccess);
  EXPECT_EQ(two.content(), one.content());
}

// What has come does not get to the GPU.
TEST_F(SlowDeviceSharedState, TheGpuOfWhoFetchesBreaks) {
  connect(2);
  Tensors one(*cuda, Where::host, 1), two(*cuda, Where::gpu, 2);
  std::array<Synced, 2> synced;
  std::thread first([&] { synced[0] = sync(0, one, 5); });
  std::thread second([&] { synced[1] = sync(1, two, 0); });
  wait_for([&] {
    std::uint64_t here = 0, wanted = 0;
    EXPECT_EQ(pcclGetSyncProgress(*comms[1], &here, &wanted), pcclSuccess);
    return wanted > 0 && here == wanted;
  });
  cuda->break_down();
  first.join();
  second.join();
  EXPECT_EQ(synced[0].result, pcclSuccess) << "it goes on alone";
  EXPECT_EQ(synced[1].result, pcclInternalError);
  const std::string why = comms[1]->last_error();
  EXPECT_NE(why.find("GPU 0: copying the shared state: unspecified launch failure"),
            std::string::npos)
      << why;
  EXPECT_NE(why.find("incomplete now: \"a\""), std::string::npos) << why;
}

TEST_F(SlowDeviceSharedState, TheGpuOfTheHolderBreaks) {
  connect(2);
  Tensors one(*cuda, Where::gpu, 1), two(*cuda, Where::host, 2);
  const auto before = two.content();
  std::array<Synced, 2> synced;
  std::thread first([&] { synced[0] = sync(0, one, 5); });
  std::thread second([&] { synced[1] = sync(1, two, 0); });
  // More than the digests needed: blocks are on their way.
  wait_for([&] { return cuda->traffic().from_device > sizes[2] + 2 * block_bytes; });
  cuda->break_down();
  first.join();
  second.join();
  EXPECT_EQ(synced[0].result, pcclInternalError);
  EXPECT_NE(comms[0]->last_error().find("GPU 0: copying the shared state"), std::string::npos)
      << comms[0]->last_error();
  EXPECT_EQ(synced[1].result, pcclInvalidUsage) << "the last holder is gone";
  EXPECT_EQ(two.content(), before);
}

}  // namespace
