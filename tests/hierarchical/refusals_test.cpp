// What a rank asks for wrongly, or cannot do, is refused by all ranks of its host.
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "hierarchical/hosts_with_gpus.hpp"

namespace pccl::hierarchical {
namespace {

using HierarchicalRefusals = HostsWithGpus;

TEST_F(HierarchicalRefusals, RefusesWhatIsNotOnItsGpu) {
  make(1, 2);
  std::vector<float> host(10);
  const std::vector<std::byte*> there = {cuda->device_memory(40, 0), cuda->device_memory(40, 1)};
  std::byte* const managed = cuda->managed_memory(40);
  const auto expect = [&](const void* send, void* receive, DataType type,
                          const std::string& words) {
    on_all([&](Rank& rank) {
      ReduceInfo info;
      std::byte* const own = there[rank.local];
      const Outcome outcome = reduce(rank,
                                     request(type, RedOp::sum, 5, send != nullptr ? send : own,
                                             receive != nullptr ? receive : own),
                                     info);
      EXPECT_EQ(outcome.status, Status::invalid_argument);
      if (rank.local == 0) {
        EXPECT_NE(outcome.why.find(words), std::string::npos) << outcome.why;
      }
    });
  };
  expect(host.data(), nullptr, DataType::float32,
         "the send buffer is memory of the host; the local communicator's is GPU 0");
  expect(nullptr, host.data(), DataType::float32, "the receive buffer is memory of the host");
  expect(managed, nullptr, DataType::float32, "the send buffer is managed memory");
  expect(nullptr, there[1], DataType::float32, "the receive buffer is memory of GPU 1");
  expect(nullptr, nullptr, DataType::int16, "NCCL has no int16");
  expect(nullptr, nullptr, DataType::uint16, "NCCL has no uint16");
  expect_reduced(DataType::float32, RedOp::sum, 10, true);
}

// One rank alone sees what is wrong; all hear of it, and nobody waits in NCCL.
TEST_F(HierarchicalRefusals, WhatOneRankRefusesAllDo) {
  make(1, 3);
  on_all([&](Rank& rank) {
    std::byte* const buffer = input(rank, DataType::float32, 10);
    const Outcome checked =
        rank.local == 2 ? Outcome{Status::invalid_argument, "unknown datatype 99"} : Outcome{};
    const Outcome outcome =
        launch(rank, checked, request(DataType::float32, RedOp::sum, 10, buffer, buffer));
    EXPECT_EQ(outcome.status, Status::invalid_argument);
    EXPECT_EQ(outcome.why,
              rank.local == 2 ? "unknown datatype 99" : "on local rank 2 of this host");
  });
  expect_reduced(DataType::float32, RedOp::sum, 10, true);
}

TEST_F(HierarchicalRefusals, RanksThatAskForDifferentThingsAreToldSo) {
  make(1, 2);
  const auto expect_different = [&](const std::function<void(ReduceRequest&)>& change) {
    on_all([&](Rank& rank) {
      std::byte* const buffer = input(rank, DataType::float32, 10);
      ReduceRequest wanted = request(DataType::float32, RedOp::sum, 10, buffer, buffer);
      if (rank.local == 1) change(wanted);
      ReduceInfo info;
      const Outcome outcome = reduce(rank, wanted, info);
      EXPECT_EQ(outcome.status, Status::invalid_argument);
      EXPECT_NE(outcome.why.find("different all-reduces"), std::string::npos) << outcome.why;
    });
  };
  expect_different([](ReduceRequest& wanted) { wanted.count = 9; });
  expect_different([](ReduceRequest& wanted) { wanted.type = DataType::int32; });
  expect_different([](ReduceRequest& wanted) { wanted.op = RedOp::avg; });
  expect_different([](ReduceRequest& wanted) { wanted.tag = 6; });
  expect_different([](ReduceRequest& wanted) {
    wanted.quantization = {QuantizationAlgorithm::min_max, Code::uint8};
  });
  expect_reduced(DataType::float32, RedOp::sum, 10, true);
}

// Their shards would go to groups of different hosts.
TEST_F(HierarchicalRefusals, RanksInPeerGroupsThatDoNotBelongTogetherAreToldSo) {
  make(1, 2);
  attach(*ranks[1], 3);
  expect_failed(Status::invalid_argument, "do not belong together");
}

// Tensors of different ops would be mixed, and nobody could tell.
TEST_F(HierarchicalRefusals, RanksThatAwaitInDifferentOrdersAreToldSo) {
  make(2, 2);
  on_all([&](Rank& rank) {
    std::array<std::byte*, 2> buffers{};
    for (std::uint64_t tag = 0; tag < 2; ++tag) {
      buffers.at(tag) = input(rank, DataType::float32, 10);
      const ReduceRequest wanted =
          request(DataType::float32, RedOp::sum, 10, buffers.at(tag), buffers.at(tag), tag);
      ASSERT_TRUE(launch(rank, {}, wanted).ok());
    }
    const bool differs = rank.local == 1;
    for (const std::uint64_t tag : {differs ? 1u : 0u, differs ? 0u : 1u}) {
      ReduceInfo info;
      const Outcome outcome = rank.reducer->await(rank.across, tag, info);
      EXPECT_EQ(outcome.status, Status::invalid_usage);
      EXPECT_NE(outcome.why.find("in different orders"), std::string::npos) << outcome.why;
      EXPECT_EQ(bytes_at(buffers.at(tag), DataType::float32, 10),
                input_of(rank, DataType::float32, 10));
    }
  });
  expect_reduced(DataType::float32, RedOp::sum, 10, true);
}

TEST_F(HierarchicalRefusals, RanksOneOfWhichAwaitsWhileTheOtherLaunchesAreToldSo) {
  make(1, 2);
  on_all([&](Rank& rank) {
    std::byte* const buffer = input(rank, DataType::float32, 10);
    const auto wanted = [&](std::uint64_t tag) {
      return request(DataType::float32, RedOp::sum, 10, buffer, buffer, tag);
    };
    ASSERT_TRUE(launch(rank, {}, wanted(0)).ok());
    ReduceInfo info;
    const Outcome outcome =
        rank.local == 1 ? launch(rank, {}, wanted(1)) : rank.reducer->await(rank.across, 0, info);
    EXPECT_EQ(outcome.status, Status::invalid_usage);
    EXPECT_NE(outcome.why.find("in different orders"), std::string::npos) << outcome.why;
    EXPECT_EQ(bytes_at(buffer, DataType::float32, 10), input_of(rank, DataType::float32, 10));
  });
}

TEST_F(HierarchicalRefusals, ATagInFlightIsRefused) {
  make(1, 2);
  on_all([&](Rank& rank) {
    std::byte* const buffer = input(rank, DataType::float32, 10);
    const ReduceRequest wanted = request(DataType::float32, RedOp::sum, 10, buffer, buffer);
    EXPECT_TRUE(launch(rank, {}, wanted).ok());
    EXPECT_EQ(launch(rank, {}, wanted).status, Status::invalid_argument);
    ReduceInfo info;
    EXPECT_TRUE(rank.reducer->await(rank.across, 5, info).ok());
  });
}

TEST_F(HierarchicalRefusals, NoMemoryOnTheGpuIsAnAnswerOfAll) {
  make(1, 2);
  const std::vector<std::byte*> buffers = {cuda->device_memory(4 << 20, 0),
                                           cuda->device_memory(4 << 20, 1)};
  cuda->fail_allocations_after(1);  // one of the two gets some
  on_all([&](Rank& rank) {
    std::byte* const buffer = buffers[rank.local];
    ReduceInfo info;
    const Outcome outcome =
        reduce(rank, request(DataType::float32, RedOp::sum, 1 << 20, buffer, buffer), info);
    EXPECT_EQ(outcome.status, Status::internal);
  });
  cuda->fail_allocations_after(SIZE_MAX);
  expect_reduced(DataType::float32, RedOp::sum, 10, true);
}

// Nothing moves before the input is known to be waited for.
TEST_F(HierarchicalRefusals, AStreamThatCannotBeFollowedIsAnAnswerOfAll) {
  make(1, 2);
  cuda->fail_following(ranks[1]->application);
  on_all([&](Rank& rank) {
    std::byte* const buffer = input(rank, DataType::float32, 10);
    const Outcome outcome =
        launch(rank, {}, request(DataType::float32, RedOp::sum, 10, buffer, buffer));
    EXPECT_EQ(outcome.status, Status::internal);
    EXPECT_NE(outcome.why.find(rank.local == 1 ? "stream cannot be followed: invalid value"
                                               : "on local rank 1 of this host"),
              std::string::npos)
        << outcome.why;
    EXPECT_EQ(nccl->calls(rank.comm), 1u);
    EXPECT_TRUE(groups[rank.local]->of(5).empty());
    EXPECT_FALSE(rank.has_left);
  });
  cuda->fail_following(ranks[1]->application, false);
  expect_reduced(DataType::float32, RedOp::sum, 10, true);
}

TEST_F(HierarchicalRefusals, KernelsThatCannotBeLoadedAreAnAnswerOfAll) {
  make(1, 2);
  cuda->fail_loading(0);
  on_all([&](Rank& rank) {
    std::byte* const buffer = input(rank, DataType::float32, 10);
    const Outcome outcome =
        launch(rank, {}, request(DataType::float32, RedOp::avg, 10, buffer, buffer));
    EXPECT_EQ(outcome.status, Status::internal);
    EXPECT_FALSE(rank.has_left);
  });
  cuda->fail_loading(0, false);
  expect_reduced(DataType::float32, RedOp::avg, 10, true);
}

}  // namespace
}  // namespace pccl::hierarchical
