// A peer whose master is away, and comes back.
#include <gtest/gtest.h>

#include "membership/peer_bench.hpp"

namespace pccl::membership {
namespace {

using namespace std::chrono_literals;
using test::master_term;
using test::PeerBench;
using test::proposal;
using Standing = PeerMachine::Standing;

constexpr Term next_term{8};

struct Away : testing::Test {
  Away() { bench.accept(); }
  void lose() { bench.step(MasterGone{"reset"}); }
  void find() {
    bench.step(MasterReached{});
    bench.from_master(wire::Welcome{test::self, 3000}, next_term);
  }
  PeerBench bench;
};

TEST_F(Away, NothingEndsAndTheMasterIsDialledAgainAndAgain) {
  const OpHandle op = bench.launch(1);
  bench.step(CallRequested{wire::CallKind::peers_pending});
  for (int dial = 0; dial < 20; ++dial) lose();
  EXPECT_FALSE(bench.ended(op));
  EXPECT_TRUE(bench.machine().in_call());
  const auto redials = bench.effects<RedialMaster>();
  ASSERT_EQ(redials.size(), 20u);
  EXPECT_LE(redials.front().pause, 20ms);
  EXPECT_GE(redials.back().pause, 150ms);
  EXPECT_LE(redials.back().pause, 250ms);
}

TEST_F(Away, NothingIsSaidToNobody) {
  lose();
  bench.forget_effects();
  bench.launch(1);
  bench.step(CallRequested{wire::CallKind::peers_pending});
  bench.step(LinkBroken{Epoch{4}, true, wire::LinkFault::broke, "reset"});
  bench.pass(10s, false);
  EXPECT_TRUE(bench.effects<SendToMaster>().empty());
  bench.step(MasterReached{});
  bench.launch(2);
  ASSERT_EQ(bench.effects<SendToMaster>().size(), 1u) << "only who it is";
  EXPECT_EQ(bench.effects<SendToMaster>()[0].term, master_term) << "the last that it obeyed";
  EXPECT_EQ(bench.sent<wire::Resume>()[0].peer, test::self);
}

TEST_F(Away, ThenItSaysAllItKnows) {
  bench.launch(1);
  bench.verdict(bench.key(1), wire::OpOutcome::aborted, 1);
  bench.launch(2);
  bench.step(OpFinished{bench.key(2)});
  bench.launch(3, wire::Algorithm::star, 16);
  bench.step(CallRequested{wire::CallKind::peers_pending});
  lose();
  bench.launch(4);
  bench.forget_effects();
  find();
  EXPECT_EQ(bench.sent<wire::OpVerdict>().size(), 1u);
  EXPECT_EQ(bench.sent<wire::OpBegin>().size(), 3u);
  EXPECT_EQ(bench.sent<wire::OpBegin>()[1].input.size(), 16u);
  ASSERT_EQ(bench.sent<wire::OpDone>().size(), 1u);
  EXPECT_EQ(bench.sent<wire::OpDone>()[0].op, bench.key(2));
  EXPECT_EQ(bench.sent<wire::Call>().size(), 1u);
  EXPECT_EQ(bench.sent<wire::LinksReady>().size(), 1u);
  ASSERT_EQ(bench.sent<wire::ResumeEnd>().size(), 1u);
  const auto end = bench.sent<wire::ResumeEnd>()[0];
  EXPECT_EQ(end.epoch, Epoch{4});
  EXPECT_EQ(end.verdict, VerdictNumber{1});
  EXPECT_EQ(end.ring, bench.machine().ring());
  EXPECT_EQ(end.proposed, Epoch{});
  for (const auto& sent : bench.effects<SendToMaster>())
    if (!std::holds_alternative<wire::Resume>(sent.message)) {
      EXPECT_EQ(sent.term, next_term);
    }
  // Life goes on under the new term.
  bench.from_master(
      wire::OpVerdict{bench.key(2), VerdictNumber{2}, wire::OpOutcome::committed, {}, {}},
      next_term);
  EXPECT_TRUE(bench.effects<CompleteOp>()[0].outcome.ok());
}

TEST_F(Away, ItTellsOfAnAdmissionThatMayHaveBeenInstalled) {
  auto proposed = proposal(5, wire::EpochReason::admission);
  proposed.ring.push_back({PeerId{9, 9}, {}});
  bench.from_master(proposed);
  lose();
  find();
  const auto end = bench.sent<wire::ResumeEnd>()[0];
  EXPECT_EQ(end.proposed, Epoch{5});
  ASSERT_EQ(end.candidates.size(), 1u);
  EXPECT_EQ(end.candidates[0].peer, (PeerId{9, 9}));
}

TEST_F(Away, AMasterOfAnOlderTermIsNotObeyed) {
  for (const Term term : {Term{0}, Term{6}, master_term}) {
    lose();
    bench.step(MasterReached{});
    bench.forget_effects();
    bench.from_master(wire::Welcome{test::self, 3000}, term);
    EXPECT_TRUE(bench.effects<SendToMaster>().empty());
    EXPECT_EQ(bench.effects<RedialMaster>().size(), 1u);
  }
  EXPECT_EQ(bench.machine().standing(), Standing::accepted);
}

TEST_F(Away, ARefusalIsNotTheEnd) {
  lose();
  bench.step(MasterReached{});
  bench.from_master(wire::Refused{"too many connections"}, next_term);
  EXPECT_EQ(bench.machine().standing(), Standing::accepted);
  bench.pass(62s, false);
  EXPECT_NE(bench.machine().gone().why.find("too many connections"), std::string::npos)
      << bench.machine().gone().why;
}

TEST_F(Away, RemovedIsRemoved) {
  for (const Term term : {master_term, next_term}) {
    PeerBench other;
    other.accept();
    other.step(MasterGone{"reset"});
    other.step(MasterReached{});
    other.from_master(wire::Removed{"it was silent"}, term);
    EXPECT_EQ(other.machine().gone().status, Status::removed);
    EXPECT_NE(other.machine().gone().why.find("it was silent"), std::string::npos);
  }
}

TEST_F(Away, TheTimeoutBeginsAnewWithEachAbsence) {
  lose();
  bench.pass(50s, false);
  find();
  lose();
  bench.pass(50s, false);
  EXPECT_EQ(bench.machine().standing(), Standing::accepted);
  bench.pass(12s, false);
  EXPECT_EQ(bench.machine().standing(), Standing::gone);
}

TEST_F(Away, SleepDoesNotCount) {
  lose();
  bench.oversleep(1h);
  EXPECT_EQ(bench.machine().standing(), Standing::accepted);
}

TEST(AwayWhilePending, ItSaysHelloAgainAndHowItWasCalled) {
  PeerBench bench;
  bench.pend();
  bench.from_master(proposal(4, wire::EpochReason::admission));
  bench.step(MasterGone{"reset"});
  EXPECT_TRUE(bench.effects<CompleteConnect>().empty());
  bench.forget_effects();
  bench.step(MasterReached{});
  ASSERT_EQ(bench.sent<wire::Hello>().size(), 1u);
  EXPECT_EQ(bench.sent<wire::Hello>()[0].formerly, test::self);
  EXPECT_EQ(bench.effects<KeepLinks>().size(), 1u);
  bench.from_master(wire::Welcome{test::second, 3000}, next_term);
  EXPECT_EQ(bench.machine().standing(), Standing::pending);
  EXPECT_EQ(bench.machine().self(), test::second);
  bench.from_master(proposal(1, wire::EpochReason::admission), next_term);
  bench.from_master(wire::EpochInstalled{.epoch = Epoch{1}}, next_term);
  EXPECT_EQ(bench.effects<CompleteConnect>().size(), 1u);
}

TEST(AwayWhilePending, TheFirstAttemptIsNotRepeated) {
  PeerBench bench;
  bench.greet();
  bench.step(MasterGone{"refused"});
  ASSERT_EQ(bench.effects<CompleteConnect>().size(), 1u);
  EXPECT_EQ(bench.effects<CompleteConnect>()[0].outcome.status, Status::master_lost);
}

// The answer to its call may be lost with the master: the epoch that came of it is the answer.
TEST(Rounds, AnInstalledAdmissionAnswersWhoeverWaitsForIt) {
  PeerBench bench;
  bench.accept();
  bench.step(CallRequested{wire::CallKind::update_topology});
  bench.from_master(proposal(5, wire::EpochReason::admission, 2));
  bench.from_master(wire::EpochInstalled{Epoch{5}, {2, 1, 2}, CallRound{3}, {}});
  ASSERT_EQ(bench.effects<CompleteCall>().size(), 1u);
  EXPECT_TRUE(bench.effects<CompleteCall>()[0].outcome.ok());
  EXPECT_EQ(bench.machine().seen().epoch, Epoch{5});
  bench.from_master(wire::CallResult{.call = CallId{1}, .round = CallRound{3}});
  EXPECT_EQ(bench.effects<CompleteCall>().size(), 1u);
}

}  // namespace
}  // namespace pccl::membership
