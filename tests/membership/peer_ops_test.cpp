// Ops as a peer sees them: each ends exactly once, and only a verdict that can be true is believed.
#include <gtest/gtest.h>

#include "base/limits.hpp"
#include "membership/peer_bench.hpp"

namespace pccl::membership {
namespace {

using test::PeerBench;
using wire::Algorithm;
using wire::OpOutcome;
using Standing = PeerMachine::Standing;

struct PeerOps : testing::Test {
  PeerOps() { bench.accept(); }
  void finish(const OpKey& op) { bench.step(OpFinished{op}); }
  void expect_protocol_error() {
    EXPECT_EQ(bench.machine().standing(), Standing::gone);
    EXPECT_EQ(bench.machine().gone().status, Status::master_lost);
    EXPECT_NE(bench.machine().gone().why.find("protocol error"), std::string::npos);
  }
  PeerBench bench;
};

TEST_F(PeerOps, ARingStartsAtOnceAndEndsWithTheVerdict) {
  const OpHandle handle = bench.launch(9);
  ASSERT_EQ(bench.effects<StartRing>().size(), 1u);
  EXPECT_EQ(bench.effects<StartRing>()[0].world, 3u);
  EXPECT_EQ(bench.effects<StartRing>()[0].rank, 0u);
  EXPECT_EQ(bench.sent<wire::OpBegin>().size(), 1u);
  finish(bench.key(9));
  EXPECT_EQ(bench.sent<wire::OpDone>().size(), 1u);
  EXPECT_FALSE(bench.ended(handle));
  bench.verdict(bench.key(9), OpOutcome::committed);
  EXPECT_TRUE(bench.ended(handle)->ok());
  EXPECT_TRUE(bench.effects<CancelRing>().empty());
}

TEST_F(PeerOps, AStarTravelsWithItsInputAndReturnsWithItsResult) {
  const OpHandle handle = bench.launch(9, Algorithm::star, 16);
  EXPECT_TRUE(bench.effects<StartRing>().empty());
  EXPECT_EQ(bench.sent<wire::OpBegin>()[0].input.size(), 16u);
  bench.verdict(bench.key(9), OpOutcome::committed, 1, std::vector<std::byte>(16));
  EXPECT_TRUE(bench.ended(handle)->ok());
  EXPECT_EQ(bench.effects<CompleteOp>()[0].result.size(), 16u);
}

TEST_F(PeerOps, AVoidVerdictCancelsAndTellsWhy) {
  const OpHandle a = bench.launch(1), b = bench.launch(2);
  bench.verdict(bench.key(1), OpOutcome::aborted, 1);
  bench.verdict(bench.key(2), OpOutcome::mismatched, 2);
  EXPECT_EQ(bench.ended(a)->status, Status::peer_lost);
  EXPECT_EQ(bench.ended(b)->status, Status::invalid_argument);
  EXPECT_EQ(bench.ended(b)->why, "test");
  EXPECT_EQ(bench.effects<CancelRing>().size(), 2u);
}

TEST_F(PeerOps, LaunchesOfATagAreNumbered) {
  bench.launch(5);
  bench.launch(5);
  bench.launch(6);
  const auto begun = bench.sent<wire::OpBegin>();
  EXPECT_EQ(begun[0].op, bench.key(5, 0));
  EXPECT_EQ(begun[1].op, bench.key(5, 1));
  EXPECT_EQ(begun[2].op, bench.key(6, 0));
}

TEST_F(PeerOps, ANewEpochEndsWhatIsOpen) {
  const OpHandle ring = bench.launch(1), star = bench.launch(2, Algorithm::star, 16);
  bench.recover(5, 2);
  EXPECT_EQ(bench.ended(ring)->status, Status::peer_lost);
  EXPECT_EQ(bench.ended(star)->status, Status::peer_lost);
  EXPECT_EQ(bench.effects<CancelRing>().size(), 1u);
  // A verdict of the old epoch, had it been sent, comes too late.
  bench.verdict({Epoch{4}, Tag{1}, Launch{0}}, OpOutcome::committed);
  EXPECT_EQ(bench.machine().standing(), Standing::accepted);
}

TEST_F(PeerOps, AStaleLaunchFailsOnceUntilTheCallerHasSeenTheRing) {
  bench.recover(5, 2);
  bench.forget_effects();
  const OpHandle stale = bench.launch(1);
  EXPECT_EQ(bench.ended(stale)->status, Status::peer_lost);
  EXPECT_TRUE(bench.sent<wire::OpBegin>().empty()) << "the others never hear of it";
  bench.step(FailureSeen{});
  bench.launch(1);
  ASSERT_EQ(bench.sent<wire::OpBegin>().size(), 1u);
  EXPECT_EQ(bench.sent<wire::OpBegin>()[0].op, (OpKey{Epoch{5}, Tag{1}, Launch{0}}));
}

TEST_F(PeerOps, AVerdictBeforeTheLaunchWaitsForIt) {
  bench.verdict(bench.key(3), OpOutcome::mismatched);
  EXPECT_EQ(bench.effects<PassOver>().size(), 1u) << "its segments are not parked any longer";
  bench.forget_effects();
  const OpHandle handle = bench.launch(3);
  EXPECT_EQ(bench.ended(handle)->status, Status::invalid_argument);
  EXPECT_TRUE(bench.sent<wire::OpBegin>().empty());
  EXPECT_TRUE(bench.effects<StartRing>().empty());
  const OpHandle again = bench.launch(3);
  EXPECT_FALSE(bench.ended(again)) << "the next launch is another op";
}

// ---- what no master that keeps the protocol says

TEST_F(PeerOps, ACommitBeforeThisPeerIsDoneIsAProtocolError) {
  const OpHandle handle = bench.launch(1);
  bench.verdict(bench.key(1), OpOutcome::committed);
  expect_protocol_error();
  EXPECT_EQ(bench.ended(handle)->status, Status::master_lost);
  EXPECT_EQ(bench.effects<CancelRing>().size(), 1u) << "data still moved";
}

TEST_F(PeerOps, ACommitWithoutThisPeersLaunchIsAProtocolError) {
  bench.verdict(bench.key(1), OpOutcome::committed);
  expect_protocol_error();
}

TEST_F(PeerOps, AResultOfTheWrongSizeIsAProtocolError) {
  for (const std::size_t bytes : {0u, 15u, 17u, 4000u}) {
    PeerBench other;
    other.accept();
    const OpHandle handle = other.launch(1, Algorithm::star, 16);
    other.verdict(other.key(1), OpOutcome::committed, 1, std::vector<std::byte>(bytes));
    EXPECT_EQ(other.machine().standing(), Standing::gone) << bytes;
    EXPECT_EQ(other.ended(handle)->status, Status::master_lost);
    EXPECT_TRUE(other.effects<CompleteOp>()[0].result.empty());
  }
}

TEST_F(PeerOps, AResultOfARingIsAProtocolError) {
  bench.launch(1);
  finish(bench.key(1));
  bench.verdict(bench.key(1), OpOutcome::committed, 1, std::vector<std::byte>(8));
  expect_protocol_error();
}

// ---- limits

TEST_F(PeerOps, AThousandMayBeInFlightAndNoMore) {
  for (std::size_t op = 0; op < limits::ops_in_flight; ++op) bench.launch(op % 10);
  EXPECT_EQ(bench.machine().ops_in_flight(), limits::ops_in_flight);
  EXPECT_FALSE(bench.machine().may_launch().ok());
  const OpHandle one_more = bench.launch(1);
  EXPECT_EQ(bench.ended(one_more)->status, Status::invalid_usage);
  EXPECT_EQ(bench.machine().standing(), Standing::accepted);
  bench.verdict(bench.key(0), OpOutcome::aborted);
  EXPECT_TRUE(bench.machine().may_launch().ok());
}

TEST(PeerLaunch, NeedsAnotherPeerAndAnOpenRun) {
  PeerBench alone;
  alone.accept(1);
  EXPECT_EQ(alone.machine().may_launch().status, Status::too_few_peers);
  PeerBench pending;
  pending.pend();
  EXPECT_EQ(pending.ended(pending.launch(1))->status, Status::invalid_usage);
  PeerBench gone;
  gone.leave();
  EXPECT_FALSE(gone.ended(gone.launch(1))->ok());
}

// ---- verdicts are kept until all members have them

TEST_F(PeerOps, VerdictsAreKeptUntilTheWatermark) {
  for (std::uint64_t number = 1; number <= 5; ++number)
    bench.verdict(bench.key(number), OpOutcome::aborted, number);
  EXPECT_EQ(bench.machine().kept_verdicts().size(), 5u);
  bench.from_master(wire::Heartbeat{.epoch = Epoch{4}, .verdict = VerdictNumber{3}});
  EXPECT_EQ(bench.machine().kept_verdicts().size(), 2u);
  bench.from_master(wire::Heartbeat{.epoch = Epoch{3}, .verdict = VerdictNumber{99}});
  EXPECT_EQ(bench.machine().kept_verdicts().size(), 2u) << "of another epoch";
  bench.forget_effects();
  bench.from_master(wire::Heartbeat{.probe = true});
  EXPECT_EQ(bench.sent<wire::Heartbeat>()[0].verdict, VerdictNumber{5});
}

TEST_F(PeerOps, ManyVerdictsAreReportedBeforeTheNextHeartbeat) {
  for (std::uint64_t number = 1; number <= 640; ++number)
    bench.verdict(bench.key(number), OpOutcome::aborted, number);
  EXPECT_EQ(bench.sent<wire::Heartbeat>().size(), 10u);
  EXPECT_EQ(bench.sent<wire::Heartbeat>().back().verdict, VerdictNumber{640});
}

}  // namespace
}  // namespace pccl::membership
