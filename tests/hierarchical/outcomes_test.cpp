// One answer per host: what fails across hosts, or in NCCL.
#include <gtest/gtest.h>

#include <string>

#include "hierarchical/hosts_with_gpus.hpp"

namespace pccl::hierarchical {
namespace {

using HierarchicalOutcomes = HostsWithGpus;

TEST_F(HierarchicalOutcomes, ALostPeerOfOneGroupFailsAllRanksAndTheNextWorks) {
  make(2, 3);
  groups[1]->fails = {{Status::peer_lost, "peer 7 was lost"}};
  on_all([&](Rank& rank) {
    std::byte* const buffer = input(rank, DataType::float32, 10);
    ReduceInfo info{9, 9, 9};
    const Outcome outcome =
        reduce(rank, request(DataType::float32, RedOp::sum, 10, buffer, buffer), info);
    EXPECT_EQ(outcome.status, Status::peer_lost);
    EXPECT_EQ(outcome.why, rank.local == 1 ? "peer 7 was lost" : "on local rank 1 of this host");
    EXPECT_EQ(info.world_size, 9u);
    EXPECT_EQ(bytes_at(buffer, DataType::float32, 10), input_of(rank, DataType::float32, 10));
    cuda->release(buffer);
  });
  expect_reduced(DataType::float32, RedOp::sum, 10, true);
}

TEST_F(HierarchicalOutcomes, TheWorstOfSeveralFailuresCountsForAll) {
  make(2, 3);
  groups[0]->fails = {{Status::too_few_peers, "local rank 0"}};
  groups[2]->fails = {{Status::peer_lost, "local rank 2"}};
  expect_failed(Status::too_few_peers, "local rank 0");
  expect_reduced(DataType::float32, RedOp::avg, 10, false);
}

TEST_F(HierarchicalOutcomes, ARefusedLaunchIsToldByTheAwait) {
  make(2, 2);
  groups[1]->refuses = {Status::too_few_peers, "alone"};
  on_all([&](Rank& rank) {
    std::byte* const buffer = input(rank, DataType::float32, 10);
    EXPECT_TRUE(launch(rank, {}, request(DataType::float32, RedOp::sum, 10, buffer, buffer)).ok());
    EXPECT_FALSE(rank.has_left);
    ReduceInfo info;
    EXPECT_EQ(rank.reducer->await(rank.across, 5, info).status, Status::too_few_peers);
    EXPECT_EQ(bytes_at(buffer, DataType::float32, 10), input_of(rank, DataType::float32, 10));
  });
  groups[1]->refuses = {};
  groups[0]->forget();
  expect_reduced(DataType::float32, RedOp::sum, 10, true);
}

// The other groups may count a launch that this rank's does not: they would be a launch apart.
TEST_F(HierarchicalOutcomes, WhoseLaunchIsRefusedWhereOthersMayNotBeLeavesTheRun) {
  for (const Status refused : {Status::internal, Status::invalid_usage, Status::invalid_argument}) {
    make(1, 2);
    groups[1]->refuses = {refused, "no thread"};
    on_all([&](Rank& rank) {
      std::byte* const buffer = input(rank, DataType::float32, 10);
      ReduceInfo info;
      const ReduceRequest wanted = request(DataType::float32, RedOp::sum, 10, buffer, buffer);
      EXPECT_EQ(reduce(rank, wanted, info).status, refused);
      EXPECT_EQ(rank.has_left, rank.local == 1);
    });
  }
}

// "A peer was lost" would be answered by the next attempt, for ever.
TEST_F(HierarchicalOutcomes, WhoIsNoLongerInTheRunRefusesForAllRanksOfTheHost) {
  make(1, 2);
  ranks[1]->in_run = false;
  on_all([&](Rank& rank) {
    std::byte* const buffer = input(rank, DataType::float32, 10);
    const Outcome outcome =
        launch(rank, {}, request(DataType::float32, RedOp::sum, 10, buffer, buffer));
    EXPECT_EQ(outcome.status, Status::invalid_usage);
    EXPECT_NE(outcome.why.find(rank.local == 1 ? "no longer in the run" : "on local rank 1"),
              std::string::npos)
        << outcome.why;
    EXPECT_EQ(nccl->calls(rank.comm), 1u);
    EXPECT_FALSE(rank.has_left);
  });
}

TEST_F(HierarchicalOutcomes, GroupsThatDifferInSizeAreNoResult) {
  make(2, 2);
  groups[0]->world_size = 3;
  expect_failed(Status::peer_lost, "different members");
  groups[0]->world_size = 0;
  expect_reduced(DataType::float32, RedOp::sum, 10, true);
}

// NCCL fails in the all-gather: the error is no success, and the next call says what to do.
TEST_F(HierarchicalOutcomes, AFailureOfTheLastStepIsSaid) {
  make(1, 2);
  nccl->fail_in_call(ranks[1]->comm, 3, FakeNccl::remote_error);
  on_all([&](Rank& rank) {
    std::byte* const buffer = input(rank, DataType::float32, 10);
    ReduceInfo info{9, 9, 9};
    const ReduceRequest wanted = request(DataType::float32, RedOp::sum, 10, buffer, buffer);
    const Outcome outcome = reduce(rank, wanted, info);
    EXPECT_EQ(outcome.status, rank.local == 1 ? Status::internal : Status::ok) << outcome.why;
    EXPECT_EQ(info.world_size, rank.local == 1 ? 9u : 1u);
    EXPECT_EQ(rank.has_left, rank.local == 1);
    if (rank.local == 1) {
      EXPECT_EQ(launch(rank, {}, wanted).status, Status::invalid_usage);
    }
  });
}

TEST_F(HierarchicalOutcomes, SaysWhatNcclSaysAndThenThatAnotherIsNeeded) {
  make(2, 1);
  nccl->refuse_next_call(ranks[0]->comm, FakeNccl::system_error);
  Rank& rank = *ranks[0];
  std::byte* const buffer = input(rank, DataType::float32, 10);
  const ReduceRequest wanted = request(DataType::float32, RedOp::sum, 10, buffer, buffer);
  Outcome outcome = launch(rank, {}, wanted);
  EXPECT_EQ(outcome.status, Status::internal);
  EXPECT_EQ(outcome.why, "ncclAllReduce: unhandled system error");
  EXPECT_TRUE(rank.has_left);  // the other ranks of the host are in this all-reduce
  outcome = launch(rank, {}, wanted);
  EXPECT_EQ(outcome.status, Status::invalid_usage);
  EXPECT_NE(
      outcome.why.find("since ncclAllReduce: unhandled system error: make a new communicator"),
      std::string::npos)
      << outcome.why;
  attach(rank);
  expect_reduced(DataType::float32, RedOp::sum, 10, true);
}

// It may not even come to other hosts, who could not tell.
TEST_F(HierarchicalOutcomes, AShardThatNcclHasLeftHalfDoneIsNotSent) {
  make(1, 1);
  Rank& rank = *ranks[0];
  std::byte* const buffer = input(rank, DataType::float32, 10);
  const ReduceRequest wanted = request(DataType::float32, RedOp::sum, 10, buffer, buffer);
  nccl->fail_in_call(rank.comm, 1, FakeNccl::remote_error);  // after the agreement
  EXPECT_EQ(launch(rank, {}, wanted).status, Status::internal);
  EXPECT_TRUE(groups[0]->of(5).empty());
  EXPECT_TRUE(rank.has_left);
}

// One rank cannot put into the stream what the others put into theirs: it does not go on as if it
// had, and they do not wait for it for ever.
TEST_F(HierarchicalOutcomes, WhoCannotGoOnCallsNcclNoMoreAndLeaves) {
  make(1, 2);
  ranks[0]->across.presence.in_run = [&] { return !ranks[1]->has_left; };
  cuda->fail_copy(1, 2);  // the first two are to agree
  on_all([&](Rank& rank) {
    std::byte* const buffer = input(rank, DataType::float32, 5);
    const Outcome outcome =
        launch(rank, {}, request(DataType::float32, RedOp::sum, 5, buffer, buffer));
    EXPECT_EQ(outcome.status, rank.local == 0 ? Status::removed : Status::internal) << outcome.why;
    EXPECT_TRUE(rank.has_left);
  });
  EXPECT_EQ(nccl->calls(ranks[1]->comm), 2u);  // to agree, and what needs no copy
}

}  // namespace
}  // namespace pccl::hierarchical
