// A peer's part in pcclOptimizeTopology: it measures what it is told, as long as it is in the call.
#include <gtest/gtest.h>

#include "membership/peer_bench.hpp"

namespace pccl::membership {
namespace {

using test::PeerBench;
using wire::CallKind;
using wire::PathMeasured;
using wire::PathWanted;

constexpr wire::Token one{1}, other{2};

struct PeerPaths : testing::Test {
  PeerPaths() {
    bench.accept();
    bench.step(CallRequested{CallKind::update_topology});
    answer(Status::ok, 3);
    bench.forget_effects();
  }
  CallId call() const { return bench.sent<wire::Call>().back().call; }
  void answer(Status status, std::uint32_t world) {
    bench.from_master(wire::CallResult{.call = call(),
                                       .round = CallRound{++rounds},
                                       .status = status,
                                       .counts = {world, 1, world}});
  }
  void optimize() { bench.step(CallRequested{CallKind::optimize_topology}); }
  void want(const wire::Token& token, bool outgoing) {
    bench.from_master(PathWanted{call(), token, outgoing, {test::second, {}}});
  }
  void judged(const wire::Token& token) {
    bench.step(PathJudged{{.token = token, .bits_per_s = 9}});
  }

  PeerBench bench;
  std::uint64_t rounds = 0;
};

TEST_F(PeerPaths, MeasuresAndReports) {
  optimize();
  want(one, true);
  want(other, false);
  ASSERT_EQ(bench.effects<MeasurePath>().size(), 2u);
  EXPECT_EQ(bench.effects<MeasurePath>()[0].self, test::self);
  judged(other);
  ASSERT_EQ(bench.sent<PathMeasured>().size(), 1u);
  EXPECT_EQ(bench.sent<PathMeasured>()[0].bits_per_s, 9u);
  answer(Status::ok, 3);
  EXPECT_EQ(bench.effects<StopMeasuring>().size(), 1u);
  ASSERT_EQ(bench.effects<CompleteCall>().size(), 1u);
  EXPECT_TRUE(bench.effects<CompleteCall>()[0].outcome.ok());
  judged(one);
  EXPECT_EQ(bench.sent<PathMeasured>().size(), 1u) << "the call is over";
}

TEST_F(PeerPaths, OnlyTheNewestMeasurementOfADirectionIsReported) {
  optimize();
  want(one, true);
  want(other, true);
  judged(one);
  EXPECT_TRUE(bench.sent<PathMeasured>().empty());
  judged(other);
  EXPECT_EQ(bench.sent<PathMeasured>().size(), 1u);
}

TEST_F(PeerPaths, NothingIsMeasuredOutsideOfTheCall) {
  bench.from_master(PathWanted{CallId{1}, one, true, {test::second, {}}});
  bench.step(CallRequested{CallKind::peers_pending});
  want(one, true);
  EXPECT_TRUE(bench.effects<MeasurePath>().empty());
  EXPECT_EQ(bench.machine().standing(), PeerMachine::Standing::accepted);
}

TEST_F(PeerPaths, ANewRingOfTheSameRoundIsTheAnswer) {
  optimize();
  want(one, false);
  bench.from_master(test::proposal(5, wire::EpochReason::admission));
  bench.step(LinksStand{Epoch{5}});
  bench.from_master(wire::EpochInstalled{Epoch{5}, {3, 1, 3}, CallRound{++rounds}});
  ASSERT_EQ(bench.effects<CompleteCall>().size(), 1u);
  EXPECT_EQ(bench.effects<StopMeasuring>().size(), 1u);
  EXPECT_EQ(bench.machine().seen().epoch, Epoch{5});
}

TEST_F(PeerPaths, AloneItIsRefused) {
  bench.step(CallRequested{CallKind::update_topology});
  answer(Status::ok, 1);
  bench.forget_effects();
  optimize();
  ASSERT_EQ(bench.effects<CompleteCall>().size(), 1u);
  EXPECT_EQ(bench.effects<CompleteCall>()[0].outcome.status, Status::invalid_usage);
  EXPECT_FALSE(bench.machine().in_call());
}

TEST_F(PeerPaths, ARestartedMasterHearsTheCallAgainAndNotWhatTheOldOneAsked) {
  optimize();
  want(one, true);
  bench.step(MasterGone{"test"});
  bench.step(MasterReached{});
  bench.forget_effects();
  bench.from_master(wire::Welcome{test::self, 3000}, Term{9});
  ASSERT_EQ(bench.sent<wire::Call>().size(), 1u);
  EXPECT_EQ(bench.sent<wire::Call>()[0].what, CallKind::optimize_topology);
  EXPECT_EQ(bench.effects<StopMeasuring>().size(), 1u);
  judged(one);
  EXPECT_TRUE(bench.sent<PathMeasured>().empty());
}

TEST_F(PeerPaths, LeavingEndsIt) {
  optimize();
  want(one, true);
  bench.step(LeaveRequested{});
  EXPECT_EQ(bench.effects<StopMeasuring>().size(), 1u);
  EXPECT_EQ(bench.effects<CompleteCall>().size(), 1u);
}

}  // namespace
}  // namespace pccl::membership
