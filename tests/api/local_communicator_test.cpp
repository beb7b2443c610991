// pcclCommAttachLocal through pccl.h: two hosts of two processes each, played by threads, with real
// peers and a real master between them. CUDA and NCCL are stand-ins.
#include <gtest/gtest.h>
#include <pccl.h>

#include <array>
#include <atomic>
#include <cstring>
#include <functional>
#include <latch>
#include <memory>
#include <thread>
#include <vector>

#include "api/local_run.hpp"
#include "device/fake_nccl.hpp"
#include "device/fake_runtime.hpp"
#include "device/gpu.hpp"

namespace pccl_test {
namespace {

constexpr int locals = 2;
thread_local bool wants_out = false;    // of calls on this thread
constexpr std::size_t count = 100'003;  // a shard is too large for the master

struct Process {
  Process(std::uint16_t master, std::uint32_t local, int host, ncclComm* local_comm)
      : comm(loopback(master), local), gpu(2 * host + static_cast<int>(local)), nccl(local_comm) {
    EXPECT_EQ(pcclSetCohort(comm, 100 + static_cast<std::uint64_t>(host), locals), pcclSuccess);
  }

  Communicator comm;
  int gpu;
  ncclComm* nccl;
  float* buffer = nullptr;
  pcclReduceInfo_t info{};
};

class LocalCommunicator : public testing::Test {
 protected:
  LocalCommunicator() {
    pcclInit();
    for (int host = 0; host < 2; ++host) {
      const auto comms = nccl->host(locals, 2 * host);
      for (std::uint32_t local = 0; local < locals; ++local) {
        processes.push_back(std::make_unique<Process>(port, local, host, comms[local]));
        Process& made = *processes.back();
        made.buffer =
            reinterpret_cast<float*>(cuda->device_memory(count * sizeof(float), made.gpu));
        fill(made);
      }
    }
  }
  static void fill(Process& process, std::size_t step = 0) {
    for (std::size_t i = 0; i < count; ++i) process.buffer[i] = input(process, i, step);
  }
  static float input(const Process& process, std::size_t i, std::size_t step = 0) {
    return static_cast<float>((i + static_cast<std::size_t>(process.gpu) + step) % 5);
  }
  void connect() {
    std::vector<std::thread> threads;
    for (const auto& process : processes)
      threads.emplace_back([&, &comm = process->comm, host = process->gpu / 2] {
        while (host == 1 && !first_host_is_in) std::this_thread::yield();
        EXPECT_EQ(pcclConnect(comm), pcclSuccess) << comm.last_error();
        if (host == 1) return;
        while (comm.attribute(PCCL_ATTRIBUTE_GLOBAL_WORLD_SIZE) < 2)
          EXPECT_EQ(pcclUpdateTopology(comm), pcclSuccess);
        first_host_is_in = true;
        for (bool pending = false; !pending;)
          ASSERT_EQ(pcclArePeersPending(comm, &pending), pcclSuccess);
        EXPECT_EQ(pcclUpdateTopology(comm), pcclSuccess);
        EXPECT_EQ(comm.attribute(PCCL_ATTRIBUTE_GLOBAL_WORLD_SIZE), 4);
      });
    for (std::thread& thread : threads) thread.join();
  }
  void attach() {
    for (const auto& process : processes)
      ASSERT_EQ(pcclCommAttachLocal(process->comm, process->nccl, nullptr), pcclSuccess)
          << process->comm.last_error();
  }
  void on(std::size_t begin, std::size_t end, const std::function<void(Process&)>& work) {
    std::vector<std::thread> threads;
    for (std::size_t i = begin; i < end; ++i)
      threads.emplace_back([&work, &process = *processes[i]] { work(process); });
    for (std::thread& thread : threads) thread.join();
  }
  void expect_sum(const Process& process, std::size_t step = 0) const {
    for (std::size_t i = 0; i < count; ++i) {
      float sum = 0;
      for (const auto& each : processes) sum += input(*each, i, step);
      ASSERT_EQ(process.buffer[i], sum) << i;
    }
  }
  void expect_input(const Process& process) const {
    for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(process.buffer[i], input(process, i)) << i;
  }

  InstalledRuntime cuda;
  InstalledNccl nccl{*cuda};
  const std::uint16_t port = free_port();
  Master master{loopback(port)};
  std::atomic<bool> first_host_is_in{false};
  std::vector<std::unique_ptr<Process>> processes;
};

TEST_F(LocalCommunicator, SumsOverAllGpusOfAllHosts) {
  connect();
  attach();
  on(0, 4, [&](Process& process) {
    const auto sum = sum_of_floats(count);
    ASSERT_EQ(pcclAllReduce(process.buffer, process.buffer, &sum, process.comm, &process.info),
              pcclSuccess)
        << process.comm.last_error();
    EXPECT_EQ(process.info.local_world_size, 2u);
    EXPECT_LT(process.info.tx_bytes, count * sizeof(float));
    expect_sum(process);
  });
}

// Bits are equal on all GPUs, and what is lost is lost once, between the hosts: the sum of a host
// is exact.
TEST_F(LocalCommunicator, QuantizesAcrossHosts) {
  connect();
  attach();
  on(0, 4, [&](Process& process) {
    auto mean = sum_of_floats(count);
    mean.op = pcclAvg;
    mean.quantization_options = {pcclUint8, pcclQuantMinMax};
    ASSERT_EQ(pcclAllReduce(process.buffer, process.buffer, &mean, process.comm, &process.info),
              pcclSuccess)
        << process.comm.last_error();
    EXPECT_LT(process.info.tx_bytes, count / 2 * sizeof(float) / 2);
    for (std::size_t i = 0; i < count; ++i) {
      float sum = 0;
      for (const auto& each : processes) sum += input(*each, i);
      ASSERT_NEAR(process.buffer[i], sum / 4, 0.03f) << i;
    }
  });
  for (const auto& process : processes)
    EXPECT_EQ(std::memcmp(process->buffer, processes[0]->buffer, count * sizeof(float)), 0);
}

TEST_F(LocalCommunicator, AwaitsWhatItHasLaunched) {
  connect();
  attach();
  on(0, 4, [&](Process& process) {
    const auto sum = sum_of_floats(count, 1), none = sum_of_floats(0, 2);
    std::array<pcclAsyncReduceOp_t, 2> handles{};
    ASSERT_EQ(pcclAllReduceAsync(process.buffer, process.buffer, &sum, process.comm, &handles[0]),
              pcclSuccess);
    ASSERT_EQ(pcclAllReduceAsync(nullptr, nullptr, &none, process.comm, &handles[1]), pcclSuccess);
    EXPECT_EQ(pcclCommAttachLocal(process.comm, nullptr, nullptr), pcclPendingAsyncOps);
    for (const auto& handle : handles)
      EXPECT_EQ(pcclAwaitAsyncReduce(&handle, nullptr), pcclSuccess) << process.comm.last_error();
    EXPECT_EQ(pcclAwaitAsyncReduce(&handles[0], nullptr), pcclRankConnectionLost);
    expect_sum(process);
  });
}

TEST_F(LocalCommunicator, ReducesMany) {
  connect();
  attach();
  constexpr std::size_t parts = 10;
  on(0, 4, [&](Process& process) {
    std::vector<pcclReduceOpDescriptor_t> ops;
    for (std::size_t part = 0; part < parts; ++part) {
      const std::size_t begin = count * part / parts, end = count * (part + 1) / parts;
      ops.push_back(
          {process.buffer + begin, process.buffer + begin, sum_of_floats(end - begin, part)});
    }
    EXPECT_EQ(pcclAllReduceMultipleWithRetry(ops.data(), parts, process.comm, &process.info, 3),
              pcclSuccess)
        << process.comm.last_error();
    EXPECT_EQ(process.info.local_world_size, 2u);
    expect_sum(process);
  });
}

// Wherever one process runs out of memory: its host refuses the step as a whole and tries again.
// Were some of its launches counted, groups would reduce shards of different steps from then on.
TEST_F(LocalCommunicator, AProcessWithoutMemoryLeavesNoGroupAStepAhead) {
  connect();
  attach();
  const auto sum = sum_of_floats(count);
  const auto reduce = [&](Process& process) {
    return pcclAllReduce(process.buffer, process.buffer, &sum, process.comm, nullptr);
  };
  std::size_t step = 0;
  const auto expect_reduced = [&](Process& process) {
    ASSERT_EQ(reduce(process), pcclSuccess) << process.comm.last_error();
    expect_sum(process, step);
  };
  on(0, 4, expect_reduced);  // from now on there is memory to use again
  for (std::size_t allocations = 0, refused = 2; refused > 0; ++allocations) {
    SCOPED_TRACE(allocations);
    ASSERT_LT(allocations, 20u);
    ++step;
    on(0, 4, [&](Process& process) { fill(process, step); });
    std::latch launched(2);
    std::thread other_host([&] {
      on(2, 4, [&](Process& process) {
        pcclAsyncReduceOp_t handle{};
        EXPECT_EQ(pcclAllReduceAsync(process.buffer, process.buffer, &sum, process.comm, &handle),
                  pcclSuccess)
            << process.comm.last_error();
        launched.count_down();
        EXPECT_EQ(pcclAwaitAsyncReduce(&handle, nullptr), pcclSuccess) << process.comm.last_error();
        expect_sum(process, step);
      });
    });
    launched.wait();
    cuda->fail_allocations_after(0);  // and what GPU 0 has kept goes as well
    EXPECT_THROW(pccl::device::Gpu::at(0)->memory(1 << 30), pccl::device::Error);
    cuda->fail_allocations_after(allocations);
    std::atomic<std::size_t> refusals = 0;
    on(0, 2, [&](Process& process) {
      const pcclResult_t result = reduce(process);
      EXPECT_TRUE(result == pcclSuccess || result == pcclInternalError);
      if (result != pcclInternalError) return;
      ++refusals;
      for (std::size_t i = 0; i < count; ++i)
        ASSERT_EQ(process.buffer[i], input(process, i, step)) << i;
    });
    cuda->fail_allocations_after(SIZE_MAX);
    refused = refusals;
    EXPECT_TRUE(refused == 0 || refused == 2) << refused;
    if (refused > 0) on(0, 2, expect_reduced);
    other_host.join();
    ++step;
    on(0, 4, [&](Process& process) { fill(process, step); });
    on(0, 4, expect_reduced);
    if (HasFailure()) return;
  }
}

// Tries again until it is alone.
TEST_F(LocalCommunicator, ReducesManyUntilTheOtherHostHasLeft) {
  connect();
  attach();
  on(0, 4, [&](Process& process) {
    if (process.gpu >= 2) return process.comm.destroy();
    const pcclReduceOpDescriptor_t one{process.buffer, process.buffer, sum_of_floats(count)};
    EXPECT_EQ(pcclAllReduceMultipleWithRetry(&one, 1, process.comm, nullptr, 1), pcclTooFewPeers)
        << process.comm.last_error();
    expect_input(process);
  });
}

TEST_F(LocalCommunicator, AHostThatLeavesFailsTheOpAndNothingElse) {
  connect();
  attach();
  on(0, 4, [&](Process& process) {
    const auto sum = sum_of_floats(count);
    if (process.gpu >= 2) return process.comm.destroy();
    EXPECT_EQ(pcclAllReduce(process.buffer, process.buffer, &sum, process.comm, nullptr),
              pcclRankConnectionLost)
        << process.comm.last_error();
    expect_input(process);
  });
  on(0, 2, [&](Process& process) {
    const auto sum = sum_of_floats(count);
    EXPECT_EQ(pcclAllReduce(process.buffer, process.buffer, &sum, process.comm, nullptr),
              pcclTooFewPeers)
        << process.comm.last_error();
    expect_input(process);
  });
}

// Without a detour through NCCL again, for memory of the host.
TEST_F(LocalCommunicator, MayBeDetached) {
  connect();
  attach();
  on(0, 4, [&](Process& process) {
    std::vector<float> host(10, 1.0f);
    const auto sum = sum_of_floats(10);
    EXPECT_EQ(pcclAllReduce(host.data(), host.data(), &sum, process.comm, nullptr),
              pcclInvalidArgument);
    EXPECT_NE(process.comm.last_error().find("the send buffer is memory of the host"),
              std::string::npos)
        << process.comm.last_error();
    EXPECT_EQ(pcclCommAttachLocal(process.comm, nullptr, nullptr), pcclSuccess);
    EXPECT_EQ(pcclAllReduce(host.data(), host.data(), &sum, process.comm, nullptr), pcclSuccess)
        << process.comm.last_error();
    EXPECT_EQ(host, std::vector<float>(10, 2.0f));
  });
}

TEST_F(LocalCommunicator, WhatDoesNotGoWithItIsRefused) {
  connect();
  attach();
  on(0, 2, [&](Process& process) {
    pcclReduceOpDescriptor_t one{process.buffer, process.buffer, sum_of_floats(count)};
    one.descriptor.quantization_options = {pcclUint8, pcclQuantMinMax};
    pcclErrorFeedback_t* feedback = nullptr;
    ASSERT_EQ(pcclCreateErrorFeedback(count, &feedback), pcclSuccess);
    EXPECT_EQ(pcclAllReduceWithFeedback(process.buffer, process.buffer, &one.descriptor, feedback,
                                        process.comm, nullptr),
              pcclInvalidArgument);
    EXPECT_NE(process.comm.last_error().find("error feedback"), std::string::npos)
        << process.comm.last_error();
    EXPECT_EQ(pcclAllReduceMultipleWithFeedback(&one, &feedback, 1, process.comm, nullptr, 1),
              pcclInvalidArgument);
    EXPECT_NE(process.comm.last_error().find("error feedback"), std::string::npos)
        << process.comm.last_error();
    EXPECT_EQ(pcclDestroyErrorFeedback(feedback), pcclSuccess);
    // What one of them asks for wrongly is wrong for both.
    pcclReduceDescriptor_t wrong = one.descriptor;
    if (process.gpu == 0) wrong.op = any_value<pcclRedOp_t>(17);
    EXPECT_EQ(pcclAllReduce(process.buffer, process.buffer, &wrong, process.comm, nullptr),
              pcclInvalidArgument);
    EXPECT_NE(process.comm.last_error().find(process.gpu == 0 ? "unknown reduce operation 17"
                                                              : "on local rank 0 of this host"),
              std::string::npos)
        << process.comm.last_error();
    one.descriptor = wrong;
    EXPECT_EQ(pcclAllReduceMultipleWithRetry(&one, 1, process.comm, nullptr, 1),
              pcclInvalidArgument);
  });
}

// What keeps one of them from launching at all.
TEST_F(LocalCommunicator, WhatOneProcessForgetsIsRefusedOnAll) {
  connect();
  attach();
  on(0, 2, [&](Process& process) {
    const bool forgets = process.gpu == 0;
    const auto expect_refused = [&](pcclResult_t result, const std::string& words) {
      EXPECT_EQ(result, pcclInvalidArgument);
      EXPECT_NE(process.comm.last_error().find(forgets ? words : "on local rank 0 of this host"),
                std::string::npos)
          << process.comm.last_error();
    };
    const auto sum = sum_of_floats(count);
    pcclAsyncReduceOp_t handle{};
    expect_refused(pcclAllReduceAsync(process.buffer, process.buffer, &sum, process.comm,
                                      forgets ? nullptr : &handle),
                   "reduce_handle_out is NULL");
    const pcclReduceOpDescriptor_t one{process.buffer, process.buffer, sum};
    const auto reduce_multiple = [&](const pcclReduceOpDescriptor_t* ops, std::size_t number,
                                     int max_in_flight) {
      return pcclAllReduceMultipleWithRetry(ops, number, process.comm, nullptr, max_in_flight);
    };
    expect_refused(reduce_multiple(forgets ? nullptr : &one, 1, 1), "descriptors is NULL");
    expect_refused(reduce_multiple(&one, forgets ? 0 : 1, 1), "count is 0");
    expect_refused(reduce_multiple(&one, 1, forgets ? 0 : 1), "max_in_flight is 0");
    expect_input(process);
  });
}

// One process fails alone while the other is inside as well; nobody waits for long.
TEST_F(LocalCommunicator, AProcessThatFailsTakesItsHostOutOfTheRun) {
  connect();
  attach();
  nccl->fail_in_call(processes[0]->nccl, 1, FakeNccl::remote_error);
  on(0, 4, [&](Process& process) {
    const auto sum = sum_of_floats(count);
    EXPECT_EQ(pcclAllReduce(process.buffer, process.buffer, &sum, process.comm, nullptr),
              process.gpu == 0 ? pcclInternalError : pcclRankConnectionLost)
        << process.comm.last_error();
    if (process.gpu > 0) expect_input(process);
    EXPECT_EQ(pcclAllReduce(process.buffer, process.buffer, &sum, process.comm, nullptr),
              process.gpu < 2 ? pcclInvalidUsage : pcclTooFewPeers)
        << process.comm.last_error();
    EXPECT_EQ(pcclUpdateTopology(process.comm),
              process.gpu < 2 ? pcclUpdateTopologyFailed : pcclSuccess)
        << process.comm.last_error();
  });
}

// The other host does not come, and nobody but one process wants out.
TEST_F(LocalCommunicator, AProcessThatIsInterruptedTakesItsHostOutOfTheRun) {
  connect();
  attach();
  pcclSetInterruptCheck([] { return wants_out; });
  on(0, 2, [&](Process& process) {
    wants_out = process.gpu == 0;
    const auto sum = sum_of_floats(count);
    EXPECT_EQ(pcclAllReduce(process.buffer, process.buffer, &sum, process.comm, nullptr),
              pcclRankConnectionLost)
        << process.comm.last_error();
    expect_input(process);
  });
  pcclSetInterruptCheck(nullptr);
  on(0, 2, [&](Process& process) {  // a loop that calls again comes to an end
    const auto sum = sum_of_floats(count);
    EXPECT_EQ(pcclAllReduce(process.buffer, process.buffer, &sum, process.comm, nullptr),
              pcclInvalidUsage)
        << process.comm.last_error();
    expect_input(process);
  });
}

// An op of the same tag would be awaited in its place.
TEST_F(LocalCommunicator, IsNotAttachedBeforeWhatIsInFlightHasBeenAwaited) {
  connect();
  on(0, 4, [&](Process& process) {
    const auto sum = sum_of_floats(count);
    pcclAsyncReduceOp_t handle{};
    ASSERT_EQ(pcclAllReduceAsync(process.buffer, process.buffer, &sum, process.comm, &handle),
              pcclSuccess);
    EXPECT_EQ(pcclCommAttachLocal(process.comm, process.nccl, nullptr), pcclPendingAsyncOps);
    EXPECT_EQ(pcclAwaitAsyncReduce(&handle, nullptr), pcclSuccess) << process.comm.last_error();
    EXPECT_EQ(pcclCommAttachLocal(process.comm, process.nccl, nullptr), pcclSuccess);
  });
}

TEST_F(LocalCommunicator, ThatIsBrokenIsRefused) {
  const Process& process = *processes[0];
  EXPECT_EQ(pcclCommAttachLocal(nullptr, process.nccl, nullptr), pcclInvalidArgument);
  EXPECT_EQ(pcclCommAttachLocal(process.comm, nullptr, nullptr), pcclSuccess);  // none, as before
  nccl->break_down(process.nccl, FakeNccl::remote_error);
  EXPECT_EQ(pcclCommAttachLocal(process.comm, process.nccl, nullptr), pcclInvalidArgument);
  EXPECT_NE(process.comm.last_error().find("remote process exited"), std::string::npos);
}

TEST_F(LocalCommunicator, OfAnotherRankThanThePeerGroupIsRefused) {
  const Process& process = *processes[0];
  EXPECT_EQ(pcclCommAttachLocal(process.comm, processes[1]->nccl, nullptr), pcclInvalidArgument);
  EXPECT_NE(process.comm.last_error().find("rank 1 of the 2 of this host is in peer group 0"),
            std::string::npos)
      << process.comm.last_error();
  const Communicator third(loopback(port), 6);
  EXPECT_EQ(pcclCommAttachLocal(third, processes[0]->nccl, nullptr), pcclSuccess);
  EXPECT_EQ(pcclCommAttachLocal(third, processes[1]->nccl, nullptr), pcclInvalidArgument);
}

TEST(WithoutCuda, ALocalCommunicatorIsRefused) {
  if (pccl::device::has_cuda_support()) GTEST_SKIP() << "this build has CUDA's";
  pcclInit();
  int somewhere = 0;
  const Communicator communicator(loopback(1));
  EXPECT_EQ(pcclCommAttachLocal(communicator, reinterpret_cast<ncclComm*>(&somewhere), nullptr),
            pcclInvalidUsage);
  EXPECT_NE(communicator.last_error().find("no CUDA support"), std::string::npos);
}

TEST(WithoutNccl, ALocalCommunicatorIsRefused) {
  pcclInit();
  InstalledRuntime cuda;
  FakeNccl nobody(*cuda);
  ncclComm* const comm = nobody.host(1)[0];
  const Communicator communicator(loopback(1));
  EXPECT_EQ(pcclCommAttachLocal(communicator, comm, nullptr), pcclInvalidUsage);
  EXPECT_NE(communicator.last_error().find("this process has not loaded NCCL (libnccl.so.2)"),
            std::string::npos)
      << communicator.last_error();
}

}  // namespace
}  // namespace pccl_test
