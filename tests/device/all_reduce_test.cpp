// All-reduces on memory of GPUs through the C API: the same bits as on the host, whoever is where,
// and failures as on the host.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <string>

#include "device/gpu.hpp"
#include "device/gpu_peers.hpp"

namespace pccl_test {
namespace {

class GpuAllReduce : public GpuPeers {
 protected:
  // By what everybody sends, whatever is where; `on_gpu`: bit p for peer p.
  struct Case {
    std::size_t count = 1000;
    pcclDataType_t type = pcclFloat;
    pcclRedOp_t op = pcclSum;
    bool in_place = false;
    pcclQuantizationOptions_t quantization{pcclUint8, pcclQuantNone};
    bool feedback = false;
  };
  struct Run {
    std::vector<std::vector<std::byte>> results;  // by peer
    std::vector<std::vector<float>> residuals;
  };

  static std::size_t bytes_of(const Case& what) {
    return what.count * (what.type == pcclDouble ? 8 : what.type == pcclBFloat16 ? 2 : 4);
  }
  static void fill(const Case& what, std::size_t peer, std::byte* at) {
    for (std::size_t i = 0; i < what.count; ++i) {
      const double value = std::sin(static_cast<double>(i * (peer + 3)));
      if (what.type == pcclDouble) {
        std::memcpy(at + 8 * i, &value, 8);
      } else {
        const auto single = static_cast<float>(value);
        std::uint32_t bits = 0;
        std::memcpy(&bits, &single, 4);
        if (what.type == pcclBFloat16) bits >>= 16;
        std::memcpy(at + (what.type == pcclBFloat16 ? 2 : 4) * i, &bits,
                    what.type == pcclBFloat16 ? 2 : 4);
      }
    }
  }

  Run reduce(const Case& what, std::uint32_t on_gpu, int rounds = 1) {
    const std::size_t world = comms.size(), bytes = bytes_of(what);
    Run run{std::vector<std::vector<std::byte>>(world), std::vector<std::vector<float>>(world)};
    pcclReduceDescriptor_t descriptor = sum_of_floats(what.count);
    descriptor.op = what.op;
    descriptor.src_descriptor.datatype = what.type;
    descriptor.quantization_options = what.quantization;
    std::vector<std::byte*> sends, receives;
    for (std::size_t peer = 0; peer < world; ++peer) {
      const bool gpu = (on_gpu >> peer & 1) != 0;
      sends.push_back(memory(gpu, bytes));
      receives.push_back(what.in_place ? sends.back() : memory(gpu, bytes));
    }
    each(world, [&](std::size_t peer) {
      const Communicator& comm = *comms[peer];
      pcclErrorFeedback_t* feedback = nullptr;
      if (what.feedback) {
        EXPECT_EQ(pcclCreateErrorFeedback(what.count, &feedback), pcclSuccess);
      }
      for (int round = 0; round < rounds; ++round) {
        fill(what, peer, sends[peer]);
        pcclReduceInfo_t info{};
        EXPECT_EQ(pcclAllReduceWithFeedback(sends[peer], receives[peer], &descriptor, feedback,
                                            comm, &info),
                  pcclSuccess)
            << comm.last_error();
        EXPECT_EQ(info.local_world_size, world);
        if (what.count > 0) {
          EXPECT_GT(info.tx_bytes, 0u);
        }
      }
      run.results[peer].assign(receives[peer], receives[peer] + bytes);
      if (feedback == nullptr) return;
      float* residual = nullptr;
      EXPECT_EQ(pcclErrorFeedbackData(feedback, &residual, nullptr), pcclSuccess);
      run.residuals[peer].assign(residual, residual + what.count);
      EXPECT_EQ(pcclDestroyErrorFeedback(feedback), pcclSuccess);
    });
    return run;
  }

  void expect_same_bits(const Case& what, int rounds = 1) {
    const Run host = reduce(what, 0, rounds);
    for (const std::uint32_t on_gpu : {~0u, 1u, 2u}) {
      SCOPED_TRACE(testing::Message() << what.count << " elements, GPUs " << on_gpu);
      const Run run = reduce(what, on_gpu, rounds);
      for (std::size_t peer = 0; peer < comms.size(); ++peer) {
        EXPECT_TRUE(run.results[peer] == host.results[0]) << "peer " << peer;
        EXPECT_TRUE(run.residuals[peer] == host.residuals[peer]) << "peer " << peer;
      }
    }
  }
};

// Through the master, pairwise, in a ring, and with nothing at all.
TEST_F(GpuAllReduce, OfTwoGivesTheBitsOfTheHost) {
  connect(2);
  for (const std::size_t count : {0, 1, 1000, 60'000, 1'000'003})
    for (const bool in_place : {false, true})
      expect_same_bits({.count = count, .in_place = in_place});
}

TEST_F(GpuAllReduce, OfThreeGivesTheBitsOfTheHost) {
  connect(3);
  for (const std::size_t count : {7, 60'000, 500'009}) {
    expect_same_bits({.count = count, .type = pcclBFloat16, .op = pcclAvg, .in_place = true});
    expect_same_bits({.count = count, .type = pcclDouble, .op = pcclMax});
  }
}

TEST_F(GpuAllReduce, QuantizedWithErrorFeedbackGivesTheBitsOfTheHost) {
  connect(3);
  for (const std::size_t count : {100, 300'001})
    expect_same_bits({.count = count,
                      .op = pcclAvg,
                      .in_place = true,
                      .quantization = {pcclUint8, pcclQuantMinMax},
                      .feedback = true},
                     3);
}

// Residuals follow the tensor from the host to the GPU and back.
TEST_F(GpuAllReduce, ResidualsGoWhereTheTensorIs) {
  connect(2);
  constexpr std::size_t count = 50'000;
  pcclReduceDescriptor_t descriptor = sum_of_floats(count);
  descriptor.quantization_options = {pcclUint8, pcclQuantMinMax};
  std::vector<float> residuals[2];  // always on the host, and from place to place
  for (const bool moving : {false, true}) {
    std::vector<float> of_second;
    each(2, [&](std::size_t peer) {
      pcclErrorFeedback_t* feedback = nullptr;
      EXPECT_EQ(pcclCreateErrorFeedback(count, &feedback), pcclSuccess);
      for (int round = 0; round < 4; ++round) {
        auto* const data = reinterpret_cast<float*>(
            memory(moving && peer == 1 && round % 2 == 1, count * sizeof(float)));
        for (std::size_t i = 0; i < count; ++i) data[i] = std::sin(static_cast<float>(i + peer));
        EXPECT_EQ(
            pcclAllReduceWithFeedback(data, data, &descriptor, feedback, *comms[peer], nullptr),
            pcclSuccess)
            << comms[peer]->last_error();
      }
      float* residual = nullptr;
      EXPECT_EQ(pcclErrorFeedbackData(feedback, &residual, nullptr), pcclSuccess);
      if (peer == 1) of_second.assign(residual, residual + count);
      EXPECT_EQ(pcclDestroyErrorFeedback(feedback), pcclSuccess);
    });
    residuals[moving] = of_second;
  }
  EXPECT_TRUE(residuals[0] == residuals[1]);
}

// A GPU that has failed has nothing of residuals that did not get there.
TEST_F(GpuAllReduce, ResidualsStayWhereTheyAreWhenAGpuDoesNotTakeThem) {
  connect(2);
  constexpr std::size_t count = 50'000;
  pcclReduceDescriptor_t descriptor = sum_of_floats(count);
  descriptor.quantization_options = {pcclUint8, pcclQuantMinMax};
  each(2, [&](std::size_t peer) {
    std::byte* const data = memory(peer == 0, count * sizeof(float));
    pcclErrorFeedback_t *used = nullptr, *fresh = nullptr;
    EXPECT_EQ(pcclCreateErrorFeedback(count, &used), pcclSuccess);
    EXPECT_EQ(pcclAllReduceWithFeedback(data, data, &descriptor, used, *comms[peer], nullptr),
              pcclSuccess);
    EXPECT_EQ(pcclDestroyErrorFeedback(used), pcclSuccess);  // its memory is kept for the next
    if (peer == 1) return;
    float* residual = nullptr;
    EXPECT_EQ(pcclCreateErrorFeedback(count, &fresh), pcclSuccess);
    EXPECT_EQ(pcclErrorFeedbackData(fresh, &residual, nullptr), pcclSuccess);
    residual[7] = 0.25f;
    cuda->break_down();
    EXPECT_EQ(pcclAllReduceWithFeedback(data, data, &descriptor, fresh, *comms[peer], nullptr),
              pcclInternalError);
    ASSERT_EQ(pcclErrorFeedbackData(fresh, &residual, nullptr), pcclSuccess);
    EXPECT_EQ(residual[7], 0.25f);
    EXPECT_EQ(pcclDestroyErrorFeedback(fresh), pcclSuccess);
  });
}

// Small and large: the launch does not wait for the application's work, the op does.
TEST_F(GpuAllReduce, AsynchronouslyWaitsForTheApplicationsStream) {
  connect(2);
  for (const std::size_t count : {100, 400'000}) {
    std::atomic<int> launched = 0;
    each(2, [&](std::size_t peer) {
      const Communicator& comm = *comms[peer];
      auto* const data = reinterpret_cast<float*>(memory(true, count * sizeof(float)));
      const pccl::device::Stream stream = cuda->application_stream();
      EXPECT_EQ(pcclSetStream(comm, stream), pcclSuccess);
      std::fill_n(data, count, -1.0f);
      cuda->hold(stream);
      cuda->put(stream, [=] { std::fill_n(data, count, static_cast<float>(peer + 1)); });
      const pcclReduceDescriptor_t sum = sum_of_floats(count);
      pcclAsyncReduceOp_t op{};
      EXPECT_EQ(pcclAllReduceAsync(data, data, &sum, comm, &op), pcclSuccess);
      ++launched;
      while (launched < 2) std::this_thread::yield();
      cuda->let_go(stream);
      EXPECT_EQ(pcclAwaitAsyncReduce(&op, nullptr), pcclSuccess) << comm.last_error();
      EXPECT_EQ(data[0], 3.0f);
      EXPECT_EQ(data[count - 1], 3.0f);
      EXPECT_EQ(pcclSetStream(comm, nullptr), pcclSuccess);
    });
  }
}

// To free memory of a GPU is to wait for all that it does: the caller may, the peer's loop may not.
TEST_F(GpuAllReduce, GivingMemoryBackKeepsNobodyWaiting) {
  connect(2);
  constexpr std::size_t count = 400'000;
  { const auto most = pccl::device::Gpu::at(0)->memory(1 << 30); }  // and nothing more is kept
  const pcclReduceDescriptor_t sum = sum_of_floats(count);
  const pccl::device::Stream busy = cuda->application_stream();
  std::atomic<int> reduced = 0;
  cuda->hold(busy);
  cuda->wait_when_freeing();
  std::vector<std::byte*> data{memory(true, count * sizeof(float)),
                               memory(false, count * sizeof(float))};
  std::thread reducing([&] {
    each(2, [&](std::size_t peer) {
      EXPECT_EQ(pcclAllReduce(data[peer], data[peer], &sum, *comms[peer], nullptr), pcclSuccess);
      ++reduced;
    });
  });
  while (reduced < 1) std::this_thread::yield();
  cuda->await_who_waits();  // the other, who frees
  each(2, [&](std::size_t peer) {
    bool pending = true;
    EXPECT_EQ(pcclArePeersPending(*comms[peer], &pending), pcclSuccess);
  });
  EXPECT_LT(reduced, 2) << "it waits still";
  cuda->let_go(busy);
  reducing.join();
  cuda->wait_when_freeing(false);
}

TEST_F(GpuAllReduce, OfManagedMemoryWaitsForTheApplicationsStream) {
  connect(2);
  constexpr std::size_t count = 5000;
  each(2, [&](std::size_t peer) {
    auto* const data = reinterpret_cast<float*>(cuda->managed_memory(count * sizeof(float)));
    const pccl::device::Stream stream = cuda->application_stream();
    EXPECT_EQ(pcclSetStream(*comms[peer], stream), pcclSuccess);
    cuda->put(stream, [=] { std::fill_n(data, count, static_cast<float>(peer + 1)); });
    const pcclReduceDescriptor_t sum = sum_of_floats(count);
    EXPECT_EQ(pcclAllReduce(data, data, &sum, *comms[peer], nullptr), pcclSuccess);
    EXPECT_EQ(data[count - 1], 3.0f);
  });
}

// The peer whose stream is held never sends a byte, and leaves: in place the others have their
// input back.
TEST_F(GpuAllReduce, LosingAPeerLeavesTheInputOnTheGpu) {
  connect(3);
  constexpr std::size_t count = 400'000;
  const pcclReduceDescriptor_t sum = sum_of_floats(count);
  std::atomic<int> waiting = 0;
  each(3, [&](std::size_t peer) {
    const Communicator& comm = *comms[peer];
    auto* const data = reinterpret_cast<float*>(memory(true, count * sizeof(float)));
    std::fill_n(data, count, static_cast<float>(peer));
    if (peer == 2) {
      const pccl::device::Stream stream = cuda->application_stream();
      EXPECT_EQ(pcclSetStream(comm, stream), pcclSuccess);
      cuda->hold(stream);
      pcclAsyncReduceOp_t op{};
      EXPECT_EQ(pcclAllReduceAsync(data, data, &sum, comm, &op), pcclSuccess);
      while (waiting < 2) std::this_thread::yield();
      std::thread leaving([&] { comms[2]->destroy(); });
      cuda->let_go(stream);
      leaving.join();
    } else {
      pcclAsyncReduceOp_t op{};
      EXPECT_EQ(pcclAllReduceAsync(data, data, &sum, comm, &op), pcclSuccess);
      ++waiting;
      const pcclResult_t result = pcclAwaitAsyncReduce(&op, nullptr);
      EXPECT_TRUE(result == pcclSuccess || result == pcclRankConnectionLost);
      const float expected = result == pcclSuccess ? 3.0f : static_cast<float>(peer);
      EXPECT_EQ(data[0], expected);
      EXPECT_EQ(data[count - 1], expected);
      if (result == pcclSuccess) return;
      EXPECT_EQ(pcclAllReduce(data, data, &sum, comm, nullptr), pcclSuccess) << comm.last_error();
      EXPECT_EQ(data[count / 2], 1.0f);
    }
  });
}

// The others go on without a peer whose GPU has failed.
TEST_F(GpuAllReduce, AGpuThatFailsCostsItsPeerItsPlace) {
  connect(3);
  constexpr std::size_t count = 400'000;
  const pcclReduceDescriptor_t sum = sum_of_floats(count);
  each(3, [&](std::size_t peer) {
    const Communicator& comm = *comms[peer];
    auto* const data = reinterpret_cast<float*>(memory(peer == 2, count * sizeof(float)));
    std::fill_n(data, count, static_cast<float>(peer));
    if (peer == 2) cuda->hold(nullptr);
    pcclAsyncReduceOp_t op{};
    EXPECT_EQ(pcclAllReduceAsync(data, data, &sum, comm, &op), pcclSuccess);
    if (peer == 2) cuda->break_down();
    const pcclResult_t result = pcclAwaitAsyncReduce(&op, nullptr);
    EXPECT_NE(result, pcclSuccess);
    if (peer == 2) {
      EXPECT_NE(comm.last_error().find("GPU 0: unspecified launch failure"), std::string::npos)
          << comm.last_error();
      return;
    }
    EXPECT_EQ(data[count - 1], static_cast<float>(peer));
    EXPECT_EQ(pcclAllReduce(data, data, &sum, comm, nullptr), pcclSuccess) << comm.last_error();
    EXPECT_EQ(data[count - 1], 1.0f);
  });
}

// Nothing of an op that has not begun is in the way: not of a launch that is refused, not of the
// end of the communicator.
TEST_F(GpuAllReduce, NobodyWaitsForTheApplicationsWork) {
  connect(2);
  const Communicator& comm = *comms[0];
  const pccl::device::Stream stream = cuda->application_stream();
  EXPECT_EQ(pcclSetStream(comm, stream), pcclSuccess);
  cuda->hold(stream);
  for (const std::size_t count : {100, 400'000}) {
    auto* const data = reinterpret_cast<float*>(memory(true, count * sizeof(float)));
    const pcclReduceDescriptor_t sum = sum_of_floats(count, count);
    pcclAsyncReduceOp_t op{};
    EXPECT_EQ(pcclAllReduceAsync(data, data, &sum, comm, &op), pcclSuccess);
    EXPECT_EQ(pcclAllReduceAsync(data, data, &sum, comm, &op), pcclInvalidArgument);
    EXPECT_NE(comm.last_error().find("in flight"), std::string::npos) << comm.last_error();
  }
  comms[0]->destroy();
  cuda->let_go(stream);
}

// One op waits for the application, and another one on another stream does not.
TEST_F(GpuAllReduce, OpsOnOtherStreamsDoNotWait) {
  connect(2);
  constexpr std::size_t count = 400'000;
  std::atomic<int> done = 0;
  each(2, [&](std::size_t peer) {
    const Communicator& comm = *comms[peer];
    const pccl::device::Stream held = cuda->application_stream();
    cuda->hold(held);
    pcclAsyncReduceOp_t late{};
    auto* const first = reinterpret_cast<float*>(memory(true, count * sizeof(float)));
    auto* const second = reinterpret_cast<float*>(memory(true, count * sizeof(float)));
    std::fill_n(first, count, 1.0f);
    std::fill_n(second, count, 2.0f);
    pcclReduceDescriptor_t sum = sum_of_floats(count, 1);
    EXPECT_EQ(pcclSetStream(comm, held), pcclSuccess);
    EXPECT_EQ(pcclAllReduceAsync(first, first, &sum, comm, &late), pcclSuccess);
    EXPECT_EQ(pcclSetStream(comm, nullptr), pcclSuccess);
    sum.tag = 2;
    EXPECT_EQ(pcclAllReduce(second, second, &sum, comm, nullptr), pcclSuccess);
    EXPECT_EQ(second[count - 1], 4.0f);
    ++done;
    while (done < 2) std::this_thread::yield();
    EXPECT_EQ(first[0], 1.0f);
    cuda->let_go(held);
    EXPECT_EQ(pcclAwaitAsyncReduce(&late, nullptr), pcclSuccess) << comm.last_error();
    EXPECT_EQ(first[count - 1], 2.0f);
  });
}

// Seen first by a launch, which is refused.
TEST_F(GpuAllReduce, AGpuThatHasFailedBeforeTheOpCostsItsPeerItsPlace) {
  connect(3);
  constexpr std::size_t count = 100'000;
  const pcclReduceDescriptor_t sum = sum_of_floats(count);
  std::vector<float*> data;
  for (std::size_t peer = 0; peer < 3; ++peer) {
    data.push_back(reinterpret_cast<float*>(memory(peer == 2, count * sizeof(float))));
    std::fill_n(data.back(), count, 1.0f);
  }
  each(3, [&](std::size_t peer) {
    EXPECT_EQ(pcclAllReduce(data[peer], data[peer], &sum, *comms[peer], nullptr), pcclSuccess);
  });
  cuda->break_down();
  each(3, [&](std::size_t peer) {
    const auto reduce = [&] {
      return pcclAllReduce(data[peer], data[peer], &sum, *comms[peer], nullptr);
    };
    if (peer == 2) {
      EXPECT_EQ(reduce(), pcclInternalError);
      return;
    }
    EXPECT_EQ(reduce(), pcclRankConnectionLost);
    EXPECT_EQ(reduce(), pcclSuccess) << comms[peer]->last_error();
    EXPECT_EQ(data[peer][count - 1], 6.0f);
  });
}

TEST_F(GpuAllReduce, RefusesWhatItCannotDo) {
  connect(2);
  const Communicator& comm = *comms[0];
  const pcclReduceDescriptor_t sum = sum_of_floats(10);
  std::byte* const gpu = cuda->device_memory(44);
  std::byte* const other = cuda->device_memory(40, 1);
  std::vector<float> host(10);
  const auto expect_refused = [&](const void* send, void* receive, const std::string& why) {
    EXPECT_EQ(pcclAllReduce(send, receive, &sum, comm, nullptr), pcclInvalidArgument);
    EXPECT_NE(comm.last_error().find(why), std::string::npos) << comm.last_error();
  };
  expect_refused(gpu, host.data(),
                 "the send buffer is memory of GPU 0, the receive buffer memory of the host");
  expect_refused(other, gpu,
                 "the send buffer is memory of GPU 1, the receive buffer memory of GPU 0");
  expect_refused(gpu + 1, gpu + 1, "the send buffer is not aligned to its elements");
  expect_refused(gpu + 8, gpu + 8, "the send buffer ends before its last element");
  cuda->fail_allocations_after(0);
  EXPECT_EQ(pcclAllReduce(gpu, gpu, &sum, comm, nullptr), pcclInternalError);
  EXPECT_NE(comm.last_error().find("GPU 0: no 262144 bytes of its memory: out of memory"),
            std::string::npos)
      << comm.last_error();
}

TEST_F(GpuAllReduce, IsSupported) {
  pcclBuildInfo_t info{};
  EXPECT_EQ(pcclGetBuildInfo(&info), pcclSuccess);
  EXPECT_TRUE(info.has_cuda_support);
}

}  // namespace
}  // namespace pccl_test
