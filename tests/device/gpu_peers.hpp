// Peers of one run in this process whose memory is that of GPUs, of the host, or some of each, on a
// stand-in for CUDA.
#pragma once

#include <gtest/gtest.h>
#include <pccl.h>

#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "api/local_run.hpp"
#include "device/fake_runtime.hpp"

namespace pccl_test {

class GpuPeers : public testing::Test {
 protected:
  explicit GpuPeers(FakeRuntime::Worker worker = FakeRuntime::Worker::thread) : cuda(worker) {}
  static void SetUpTestSuite() { pcclInit(); }

  // Connects so many peers, and admits them one after the other.
  void connect(std::size_t count) {
    while (comms.size() < count) {
      comms.push_back(std::make_unique<Communicator>(loopback(port)));
      const Communicator& newcomer = *comms.back();
      std::thread joining([&] { EXPECT_EQ(pcclConnect(newcomer), pcclSuccess); });
      if (comms.size() > 1) {
        each(comms.size() - 1, [&](std::size_t peer) {
          for (bool pending = false; !pending;)
            EXPECT_EQ(pcclArePeersPending(*comms[peer], &pending), pcclSuccess);
          EXPECT_EQ(pcclUpdateTopology(*comms[peer]), pcclSuccess) << comms[peer]->last_error();
        });
      }
      joining.join();
    }
  }

  // Calls f(peer) for the first `count` peers at once, each in a thread of its own.
  static void each(std::size_t count, const std::function<void(std::size_t)>& f) {
    std::vector<std::thread> threads;
    for (std::size_t peer = 0; peer < count; ++peer) threads.emplace_back(f, peer);
    for (std::thread& thread : threads) thread.join();
  }

  // `bytes` on a GPU or on the host, until the test ends. Any thread.
  std::byte* memory(bool on_gpu, std::size_t bytes) {
    if (on_gpu) return cuda->device_memory(bytes);
    const std::lock_guard guard(mutex_);
    hosts_.push_back(std::make_unique<std::byte[]>(bytes + 1));
    return hosts_.back().get();
  }

  InstalledRuntime cuda;
  const std::uint16_t port = free_port();
  Master master{loopback(port)};
  std::vector<std::unique_ptr<Communicator>> comms;

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<std::byte[]>> hosts_;
};

}  // namespace pccl_test
