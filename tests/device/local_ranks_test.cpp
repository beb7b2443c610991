// The ranks of a host as each of them sees the others: CUDA and NCCL are stand-ins.
#include "device/local_ranks.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/interrupt_check.hpp"
#include "device/fake_nccl.hpp"
#include "device/fake_runtime.hpp"

namespace pccl::device {
namespace {

using pccl_test::FakeNccl;
using pccl_test::InstalledNccl;
using pccl_test::InstalledRuntime;
using namespace std::chrono_literals;

struct Rank {
  ncclComm* comm = nullptr;
  int gpu = 0;
  std::unique_ptr<LocalRanks> local;
  Presence presence;
  std::atomic<int> asked = 0;  // whether it is in the run
  std::atomic<bool> in_run = true;
  std::string left;  // why
};

class LocalRanksTest : public testing::Test {
 protected:
  ~LocalRanksTest() override { set_interrupt_check(nullptr); }

  void make(int count) {
    ranks.clear();
    for (ncclComm* const comm : nccl->host(count)) {
      auto rank = std::make_unique<Rank>();
      rank->comm = comm;
      rank->gpu = static_cast<int>(ranks.size());
      rank->presence = {.in_run = [&mine = *rank] { return ++mine.asked, mine.in_run.load(); },
                        .leave_run = [&mine = *rank](const std::string& why) { mine.left = why; }};
      attach(*rank);
      ranks.push_back(std::move(rank));
    }
  }
  void attach(Rank& rank) {
    Outcome wrong;
    rank.local = of(rank, wrong);
    ASSERT_NE(rank.local, nullptr) << wrong.why;
  }
  static std::unique_ptr<LocalRanks> of(const Rank& rank, Outcome& wrong,
                                        Duration longest_making = 20s) {
    std::string why;
    return LocalRanks::of(*find_nccl(why), rank.comm, wrong, longest_making);
  }
  void on_all(const std::function<void(Rank&)>& work) {
    std::vector<std::thread> threads;
    for (const auto& rank : ranks) threads.emplace_back([&work, &rank] { work(*rank); });
    for (std::thread& thread : threads) thread.join();
  }
  static Outcome agree(Rank& rank, const LocalRanks::Vote& vote, LocalRanks::Agreed& agreed) {
    return rank.local->agree(vote, rank.presence, agreed);
  }
  // Of one element per rank, in place.
  Outcome reduce_scatter(Rank& rank, std::byte* memory) {
    return rank.local->reduce_scatter(memory, memory, 1, Nccl::Type::float32, Nccl::Op::sum,
                                      rank.presence);
  }

  // The first rank, in a collective to which nobody else comes.
  void expect_alone(Status status, const std::string& words) {
    Rank& rank = *ranks[0];
    LocalRanks::Agreed agreed;
    const Outcome outcome = agree(rank, {}, agreed);
    EXPECT_EQ(outcome.status, status);
    EXPECT_NE(outcome.why.find(words), std::string::npos) << outcome.why;
    EXPECT_EQ(rank.left, outcome.why);
    EXPECT_EQ(rank.local->broken().why, outcome.why);
    EXPECT_EQ(agree(rank, {}, agreed).status, status);  // from now on
  }

  InstalledRuntime cuda;
  InstalledNccl nccl{*cuda};
  std::vector<std::unique_ptr<Rank>> ranks;
};

// ---- Agreeing ----

TEST_F(LocalRanksTest, TheWorstThatAnyRankSaysCountsForAll) {
  make(3);
  constexpr std::array from_the_least = {Status::ok,
                                         Status::peer_lost,
                                         Status::too_few_peers,
                                         Status::timed_out,
                                         Status::master_lost,
                                         Status::removed,
                                         Status::interrupted,
                                         Status::pending_ops,
                                         Status::invalid_argument,
                                         Status::invalid_usage,
                                         Status::internal};
  for (std::size_t worst = 1; worst < from_the_least.size(); ++worst)
    for (std::size_t other = 0; other < worst; ++other)
      on_all([&](Rank& rank) {
        const Status mine = from_the_least[rank.gpu == 1 ? worst : rank.gpu == 0 ? other : 0];
        LocalRanks::Agreed agreed;
        EXPECT_TRUE(agree(rank, {mine, 7, 7}, agreed).ok());
        EXPECT_EQ(agreed.status, from_the_least[worst]) << name_of(mine);
        EXPECT_EQ(agreed.rank, 1);
        EXPECT_TRUE(agreed.same_call && agreed.same_number);
      });
}

TEST_F(LocalRanksTest, HearWhetherTheySayTheSame) {
  make(3);
  constexpr std::uint64_t largest = (1ull << 62) - 1;
  const auto expect = [&](const LocalRanks::Vote& of_last, bool same_call, bool same_number) {
    on_all([&](Rank& rank) {
      LocalRanks::Agreed agreed;
      const LocalRanks::Vote as_ever{Status::ok, 5, largest};
      EXPECT_TRUE(agree(rank, rank.gpu == 2 ? of_last : as_ever, agreed).ok());
      EXPECT_EQ(agreed.same_call, same_call);
      EXPECT_EQ(agreed.same_number, same_number);
    });
  };
  expect({Status::ok, 5, largest}, true, true);
  expect({Status::ok, 4, largest}, false, true);
  expect({Status::ok, 6, largest}, false, true);
  expect({Status::ok, 5, 0}, true, false);
}

// Nor does a rank that is out of the run lose patience over its own input.
TEST_F(LocalRanksTest, AgreeWhileTheInputIsBeingMade) {
  make(2);
  std::array<Stream, 2> application{};
  for (const auto& rank : ranks) {
    application.at(static_cast<std::size_t>(rank->gpu)) = cuda->application_stream(rank->gpu);
    cuda->hold(application.at(static_cast<std::size_t>(rank->gpu)), rank->gpu);
  }
  on_all([&](Rank& rank) {
    EXPECT_TRUE(rank.local->follow(application.at(static_cast<std::size_t>(rank.gpu))).ok());
    LocalRanks::Agreed agreed;
    EXPECT_TRUE(agree(rank, {Status::invalid_argument}, agreed).ok());
    EXPECT_EQ(agreed.status, Status::invalid_argument);
    EXPECT_FALSE(rank.local->queue().ended());
    rank.local.reset();  // waits for nobody
  });
  for (const auto& rank : ranks)
    cuda->let_go(application.at(static_cast<std::size_t>(rank->gpu)), rank->gpu);
}

// It is not the other ranks that it waits for, however long it has been out of the run.
TEST_F(LocalRanksTest, WhoIsOutOfTheRunIsPatientWithItsOwnInput) {
  make(1);
  Rank& rank = *ranks[0];
  const Stream application = cuda->application_stream();
  cuda->hold(application);
  std::byte* const memory = cuda->device_memory(4);
  rank.in_run = false;
  rank.presence.in_run = [&] {
    constexpr int longer_than_the_grace = 35;  // it asks ten times in a second
    if (++rank.asked == longer_than_the_grace) cuda->let_go(application);
    return false;
  };
  EXPECT_TRUE(rank.local->follow(application).ok());
  EXPECT_TRUE(reduce_scatter(rank, memory).ok());
  const Outcome settled = rank.local->settle(rank.presence);
  EXPECT_TRUE(settled.ok()) << settled.why;
}

TEST_F(LocalRanksTest, WhoIsCalledOffDoesNotWaitForItsInput) {
  make(1);
  Rank& rank = *ranks[0];
  const Stream application = cuda->application_stream();
  cuda->hold(application);
  rank.in_run = false;
  rank.presence.may_go_on = [] { return Outcome{Status::interrupted, "called off"}; };
  EXPECT_TRUE(rank.local->follow(application).ok());
  EXPECT_TRUE(reduce_scatter(rank, cuda->device_memory(4)).ok());
  EXPECT_EQ(rank.local->settle(rank.presence).status, Status::interrupted);
  EXPECT_EQ(rank.left, "called off");
  cuda->let_go(application);
}

// ---- Waits for ranks that do not come ----

TEST_F(LocalRanksTest, AWaitEndsWhenNcclHasFailed) {
  make(2);
  Rank& rank = *ranks[0];
  std::thread breaks([&] {
    cuda->await_who_waits();
    nccl->break_down(rank.comm, FakeNccl::remote_error);
  });
  expect_alone(Status::internal, "remote process exited");
  breaks.join();
  ranks.clear();  // ends, although NCCL hangs in the stream
}

TEST_F(LocalRanksTest, ABrokenGpuEndsTheWait) {
  make(2);
  std::thread breaks([&] {
    cuda->await_who_waits();
    cuda->break_down();
  });
  expect_alone(Status::internal, "unspecified launch failure");
  breaks.join();
}

TEST_F(LocalRanksTest, WhoIsOutOfTheRunDoesNotWaitForLong) {
  make(2);
  ranks[0]->in_run = false;
  expect_alone(Status::removed, "do not come");
}

TEST_F(LocalRanksTest, TheApplicationMayInterruptAWait) {
  make(2);
  set_interrupt_check([] { return true; });
  expect_alone(Status::interrupted, "interrupted by the application");
}

// ---- Calls that NCCL carries out on a thread of its own ----

TEST_F(LocalRanksTest, ACallThatFailsLaterIsNoSuccess) {
  make(1);
  Rank& rank = *ranks[0];
  nccl->do_not_block(rank.comm);
  nccl->fail_in_call(rank.comm, 0, FakeNccl::remote_error);
  std::byte* const memory = cuda->device_memory(4);
  EXPECT_EQ(reduce_scatter(rank, memory).status, Status::internal);
  EXPECT_EQ(rank.left, rank.local->broken().why);
  EXPECT_NE(rank.left.find("remote process exited"), std::string::npos) << rank.left;
}

// The stream is empty until NCCL's thread gets there, so an empty stream says nothing.
TEST_F(LocalRanksTest, WhatACallThatWasGivenUpMayYetUseIsKept) {
  make(1);
  Rank& rank = *ranks[0];
  nccl->do_not_block(rank.comm);
  nccl->hang(rank.comm);
  const auto gpu = Gpu::at(rank.gpu);
  Memory memory = gpu->memory(4);
  const std::byte* const used = memory.data();
  const Stream stream = rank.local->queue().stream();
  set_interrupt_check([] { return true; });
  EXPECT_EQ(reduce_scatter(rank, memory.data()).status, Status::interrupted);
  rank.local->leave_behind(std::move(memory));
  EXPECT_TRUE(rank.local->queue().ended());
  rank.local.reset();
  std::vector<Memory> memories;
  std::vector<std::shared_ptr<Queue>> queues;
  for (int i = 0; i < 5; ++i) {
    memories.push_back(gpu->memory(4));
    EXPECT_NE(memories.back().data(), used);
    queues.push_back(gpu->queue());
    EXPECT_NE(queues.back()->stream(), stream);
  }
  nccl->hang(rank.comm, false);
  for (int error = Nccl::in_progress; error == Nccl::in_progress;)
    nccl->async_error(rank.comm, &error);
  EXPECT_EQ(cuda->wait(rank.gpu, stream), 0);
}

// ---- Being attached ----

TEST_F(LocalRanksTest, WaitsForACommunicatorThatIsBeingMade) {
  make(1);
  static InstalledNccl* making;
  static ncclComm* made;
  making = &nccl;
  made = ranks[0]->comm;
  nccl->hang(made);
  set_interrupt_check([] { return (*making)->hang(made, false), false; });
  attach(*ranks[0]);
  EXPECT_EQ(ranks[0]->local->size(), 1);
}

TEST_F(LocalRanksTest, DoesNotWaitForEverForACommunicatorThatIsBeingMade) {
  make(1);
  nccl->hang(ranks[0]->comm);
  Outcome wrong;
  EXPECT_EQ(of(*ranks[0], wrong, 1ms), nullptr);
  EXPECT_EQ(wrong.status, Status::invalid_usage);
  EXPECT_EQ(wrong.why, "NCCL is still making the communicator of the host");
  set_interrupt_check([] { return true; });
  EXPECT_EQ(of(*ranks[0], wrong), nullptr);
  EXPECT_EQ(wrong.status, Status::interrupted);
}

TEST_F(LocalRanksTest, ABrokenCommunicatorIsRefused) {
  make(1);
  nccl->break_down(ranks[0]->comm, FakeNccl::remote_error);
  Outcome wrong;
  EXPECT_EQ(of(*ranks[0], wrong), nullptr);
  EXPECT_EQ(wrong.status, Status::invalid_argument);
  EXPECT_EQ(wrong.why,
            "the communicator of the host has failed: remote process exited or there was a network "
            "error");
}

// CUDA may wait for all that its GPUs do before it unpins memory.
TEST_F(LocalRanksTest, KeepsItsPinnedMemoryForTheNextToBeAttached) {
  make(2);
  const std::size_t pinned = cuda->live_pinned_bytes();
  EXPECT_GT(pinned, 0u);
  ranks.clear();
  EXPECT_EQ(cuda->live_pinned_bytes(), pinned);
  make(2);
  EXPECT_EQ(cuda->live_pinned_bytes(), pinned);
}

}  // namespace
}  // namespace pccl::device
