// What a peer takes from its master, and how its standing changes.
#include <gtest/gtest.h>

#include "membership/master_bench.hpp"
#include "membership/peer_bench.hpp"

namespace pccl::membership {
namespace {

using namespace std::chrono_literals;
using test::PeerBench;
using test::proposal;
using wire::EpochReason;
using wire::Kind;
using Standing = PeerMachine::Standing;

constexpr Standing standings[] = {Standing::unconnected, Standing::greeting, Standing::pending,
                                  Standing::accepted, Standing::gone};

std::string_view name_of(Standing standing) {
  constexpr std::string_view names[] = {"unconnected", "greeting", "pending", "accepted", "gone"};
  return names[static_cast<std::size_t>(standing)];
}

void bring_to(PeerBench& bench, Standing standing) {
  if (standing == Standing::greeting) bench.greet();
  if (standing == Standing::pending) bench.pend();
  if (standing == Standing::accepted) bench.accept();
  if (standing == Standing::gone) bench.leave();
  ASSERT_EQ(bench.machine().standing(), standing);
  bench.forget_effects();
}

// A master's message of each kind that fits a run in epoch 4, as far as there is one.
std::vector<wire::Message> messages() {
  auto all = test::one_of_each_kind(Epoch{4});
  for (wire::Message& message : all) {
    if (auto* welcome = std::get_if<wire::Welcome>(&message)) *welcome = {test::self, 3000};
    if (auto* proposed = std::get_if<wire::EpochProposed>(&message))
      *proposed = proposal(5, EpochReason::admission);
    if (auto* installed = std::get_if<wire::EpochInstalled>(&message)) installed->epoch = Epoch{4};
    if (auto* verdict = std::get_if<wire::OpVerdict>(&message)) verdict->op.epoch = Epoch{4};
  }
  return all;
}

// docs/protocol.md has the same table in words.
bool keeps(Kind kind, Standing standing) {
  if (standing == Standing::unconnected || standing == Standing::gone) return true;  // ignored
  if (standing == Standing::greeting) return kind == Kind::welcome;
  switch (kind) {
    case Kind::heartbeat:
    case Kind::epoch_proposed:
    case Kind::op_verdict:
    case Kind::call_result:
    case Kind::sync_elected:
    case Kind::sync_result:
    case Kind::state_wanted:
    case Kind::path_wanted:
      return true;
    case Kind::epoch_installed:
      return standing == Standing::accepted;  // nothing was proposed to the pending one
    default:
      return false;
  }
}

class PeerTable : public testing::TestWithParam<Standing> {};
INSTANTIATE_TEST_SUITE_P(Standings, PeerTable, testing::ValuesIn(standings),
                         [](const auto& param) { return std::string(name_of(param.param)); });

TEST_P(PeerTable, EveryKindOfMessage) {
  for (const wire::Message& message : messages()) {
    const Kind kind = wire::kind_of(message);
    SCOPED_TRACE(wire::name_of(kind));
    PeerBench bench;
    bring_to(bench, GetParam());
    bench.from_master(message);
    if (keeps(kind, GetParam())) {
      EXPECT_EQ(bench.machine().standing(),
                GetParam() == Standing::greeting ? Standing::pending : GetParam());
      EXPECT_TRUE(bench.effects<CloseMaster>().empty());
      continue;
    }
    const bool connecting = GetParam() != Standing::accepted;
    EXPECT_EQ(bench.machine().standing(), connecting ? Standing::unconnected : Standing::gone);
    EXPECT_EQ(bench.machine().gone().status,
              kind == Kind::removed ? Status::removed : Status::master_lost);
    EXPECT_EQ(bench.effects<CloseMaster>().size(), 1u);
    EXPECT_EQ(bench.effects<CompleteConnect>().size(), connecting ? 1u : 0u);
  }
}

TEST_P(PeerTable, EveryKindOfMessageOfAnotherTermIsIgnored) {
  if (GetParam() == Standing::greeting) return;  // the first term is the one it will obey
  for (const wire::Message& message : messages())
    for (const Term term : {Term{0}, Term{6}, Term{8}}) {
      PeerBench bench;
      bring_to(bench, GetParam());
      bench.from_master(message, term);
      EXPECT_EQ(bench.machine().standing(), GetParam());
      EXPECT_TRUE(bench.effects<SendToMaster>().empty());
      EXPECT_TRUE(bench.effects<Relink>().empty());
    }
}

TEST_P(PeerTable, EveryEventOfItsOwnSide) {
  const PeerEvent events[] = {ConnectRequested{1, 2},
                              MasterReached{},
                              MasterGone{"test"},
                              ConnectGivenUp{"test"},
                              LeaveRequested{},
                              CallRequested{wire::CallKind::peers_pending},
                              SyncRequested{},
                              StateFetched{},
                              LaunchRequested{OpHandle{1}, Tag{1}, {}, {}},
                              OpFinished{OpKey{}},
                              LinksStand{Epoch{4}},
                              LinkBroken{Epoch{4}, true, wire::LinkFault::broke, "test"},
                              PathJudged{},
                              FailureSeen{},
                              PeerTimePassed{}};
  for (const PeerEvent& first : events)
    for (const PeerEvent& then : events) {
      PeerBench bench;
      bring_to(bench, GetParam());
      bench.step(first);
      bench.step(then);
      // Whatever the application asked for has exactly one answer or is on its way.
      const auto asked = [&](std::size_t index) {
        return (first.index() == index ? 1u : 0u) + (then.index() == index ? 1u : 0u);
      };
      EXPECT_EQ(bench.effects<CompleteCall>().size() + bench.effects<CompleteSync>().size() +
                    (bench.machine().in_call() ? 1 : 0),
                asked(6) /* CallRequested */ + asked(7) /* SyncRequested */);
      EXPECT_EQ(bench.effects<CompleteOp>().size() + bench.machine().ops_in_flight(),
                asked(9) /* LaunchRequested */);
    }
}
static_assert(std::is_same_v<std::variant_alternative_t<6, PeerEvent>, CallRequested>);
static_assert(std::is_same_v<std::variant_alternative_t<7, PeerEvent>, SyncRequested>);
static_assert(std::is_same_v<std::variant_alternative_t<9, PeerEvent>, LaunchRequested>);

// Without the word the master takes it for lost, and its cohort out of the run.
TEST(Peer, AWordToTheMasterIsForWhoLeavesOnPurpose) {
  for (const bool on_purpose : {true, false}) {
    PeerBench bench;
    bench.accept();
    bench.step(LeaveRequested{"test", on_purpose});
    EXPECT_EQ(bench.effects<SendToMaster>().size(), on_purpose ? 1u : 0u);
    EXPECT_EQ(bench.effects<CloseMaster>().size(), 1u);
    EXPECT_EQ(bench.machine().standing(), Standing::gone);
  }
}

// ---- connecting

TEST(Connecting, IntroducesItselfWithItsPortWhenTheMasterIsReached) {
  PeerBench bench;
  bench.step(MasterReached{});
  EXPECT_TRUE(bench.sent<wire::Hello>().empty()) << "nobody has asked for it";
  bench.step(ConnectRequested{4711, 4712});
  bench.step(MasterReached{});
  ASSERT_EQ(bench.sent<wire::Hello>().size(), 1u);
  EXPECT_EQ(bench.sent<wire::Hello>()[0].p2p_port, 4711);
  EXPECT_EQ(bench.sent<wire::Hello>()[0].state_port, 4712);
}

TEST(Connecting, EndsWithTheFirstInstalledEpoch) {
  PeerBench bench;
  bench.pend();
  EXPECT_EQ(bench.machine().self(), test::self);
  bench.from_master(proposal(4, EpochReason::admission));
  ASSERT_EQ(bench.effects<Relink>().size(), 1u);
  EXPECT_EQ(bench.effects<Relink>()[0].next.peer, test::second);
  EXPECT_EQ(bench.effects<Relink>()[0].previous, test::third);
  bench.step(LinksStand{Epoch{4}});
  EXPECT_EQ(bench.sent<wire::LinksReady>().size(), 1u);
  EXPECT_TRUE(bench.effects<CompleteConnect>().empty());
  bench.from_master(wire::EpochInstalled{Epoch{4}, {3, 1, 3}});
  ASSERT_EQ(bench.effects<CompleteConnect>().size(), 1u);
  EXPECT_TRUE(bench.effects<CompleteConnect>()[0].outcome.ok());
  EXPECT_EQ(bench.machine().seen().group_world_size, 3u);
  EXPECT_EQ(bench.machine().seen().counts.global_world_size, 3u);
}

TEST(Connecting, MayBeRepeatedAfterARefusal) {
  PeerBench bench;
  bench.greet();
  bench.from_master(wire::Refused{"no room"});
  ASSERT_EQ(bench.effects<CompleteConnect>().size(), 1u);
  EXPECT_EQ(bench.effects<CompleteConnect>()[0].outcome.status, Status::master_lost);
  EXPECT_NE(bench.effects<CompleteConnect>()[0].outcome.why.find("no room"), std::string::npos);
  bench.forget_effects();
  bench.accept();
}

TEST(Connecting, AMasterMayBeginANewTermBetweenTwoAttempts) {
  PeerBench bench;
  bench.pend();
  bench.from_master(wire::Refused{"restart"});
  bench.forget_effects();
  bench.greet();
  EXPECT_EQ(bench.effects<SendToMaster>()[0].term, Term{}) << "the hello is of no term";
  bench.from_master(wire::Welcome{test::self, 3000}, Term{8});
  EXPECT_EQ(bench.machine().standing(), Standing::pending);
  bench.from_master(wire::Heartbeat{.probe = true}, Term{8});
  EXPECT_EQ(bench.effects<SendToMaster>().back().term, Term{8});
}

TEST(Connecting, GivingUpEndsItButNotAMembership) {
  PeerBench bench;
  bench.pend();
  bench.step(ConnectGivenUp{"10 s have passed"});
  EXPECT_EQ(bench.effects<CompleteConnect>()[0].outcome.status, Status::timed_out);
  PeerBench member;
  member.accept();
  member.step(ConnectGivenUp{"too late"});
  EXPECT_EQ(member.machine().standing(), Standing::accepted);
}

// ---- epochs

TEST(Epochs, AnAdmissionIsVoidUntilInstalled) {
  PeerBench bench;
  bench.accept();
  bench.from_master(proposal(5, EpochReason::admission, 2));
  EXPECT_EQ(bench.machine().epoch(), Epoch{4});
  EXPECT_TRUE(bench.effects<EnterEpoch>().empty());
  bench.from_master(proposal(6, EpochReason::admission));  // the candidate dropped out
  bench.from_master(wire::EpochInstalled{Epoch{6}, {}});
  EXPECT_EQ(bench.machine().epoch(), Epoch{6});
  EXPECT_EQ(bench.effects<EnterEpoch>().size(), 1u);
}

TEST(Epochs, ARecoveryIsInForceAtOnceButUnseen) {
  PeerBench bench;
  bench.accept();
  bench.recover(5, 2);
  EXPECT_EQ(bench.machine().epoch(), Epoch{5});
  EXPECT_EQ(bench.machine().seen().epoch, Epoch{4});
  EXPECT_EQ(bench.effects<EnterEpoch>().size(), 1u);
  EXPECT_EQ(bench.effects<KeepLinks>().size(), 1u);
  bench.from_master(wire::EpochInstalled{Epoch{5}, {}});
  EXPECT_EQ(bench.machine().seen().epoch, Epoch{4});
  bench.step(FailureSeen{});
  EXPECT_EQ(bench.machine().seen().epoch, Epoch{5});
  EXPECT_EQ(bench.machine().seen().group_world_size, 2u);
}

TEST(Epochs, ARingOfOneNeedsNoLinks) {
  PeerBench bench;
  bench.accept();
  bench.recover(5, 1);
  EXPECT_TRUE(bench.effects<Relink>().empty());
  ASSERT_EQ(bench.effects<KeepLinks>().size(), 1u);
  EXPECT_FALSE(bench.effects<KeepLinks>()[0].next);
  EXPECT_EQ(bench.sent<wire::LinksReady>().size(), 1u);
}

TEST(Epochs, ThatWereNeverProposedCannotBeInstalled) {
  for (const std::uint64_t epoch : {0u, 3u, 5u, 99u}) {
    PeerBench pending;
    pending.pend();
    pending.from_master(wire::EpochInstalled{Epoch{epoch}, {}});
    EXPECT_NE(pending.machine().standing(), Standing::accepted) << "a member of no ring";
    PeerBench member;
    member.accept();
    member.from_master(wire::EpochInstalled{Epoch{epoch}, {}});
    EXPECT_EQ(member.machine().gone().status, Status::master_lost);
    EXPECT_NE(member.machine().gone().why.find("protocol error"), std::string::npos);
  }
}

// Found by fuzzing: a shorter ring under a number that the caller had seen let a launch through.
TEST(Epochs, NeverGoBack) {
  for (const auto reason : {EpochReason::admission, EpochReason::recovery})
    for (const std::uint64_t epoch : {0u, 3u, 4u}) {
      PeerBench bench;
      bench.accept();
      bench.from_master(proposal(epoch, reason, 1));
      EXPECT_EQ(bench.machine().standing(), Standing::gone) << epoch;
      EXPECT_NE(bench.machine().gone().why.find("protocol error"), std::string::npos);
      PeerBench proposed;
      proposed.accept();
      proposed.from_master(proposal(5, EpochReason::admission));
      proposed.from_master(proposal(5, reason, 2));
      EXPECT_EQ(proposed.machine().standing(), Standing::gone);
    }
}

TEST(Epochs, ARingWithoutThisPeerIsAProtocolError) {
  for (const auto reason : {EpochReason::admission, EpochReason::recovery}) {
    PeerBench bench;
    bench.accept();
    auto others = proposal(5, reason);
    others.ring.erase(others.ring.begin());
    bench.from_master(others);
    EXPECT_EQ(bench.machine().standing(), Standing::gone);
    others.ring.clear();
    PeerBench nobody;
    nobody.accept();
    nobody.from_master(others);
    EXPECT_EQ(nobody.machine().standing(), Standing::gone);
  }
}

// ---- links

TEST(Links, ABrokenOneIsReportedWithTheNeighboursName) {
  PeerBench bench;
  bench.accept();
  bench.step(LinkBroken{Epoch{4}, true, wire::LinkFault::broke, "reset"});
  bench.step(LinkBroken{Epoch{4}, false, wire::LinkFault::unanswered, "silent"});
  const auto failed = bench.sent<wire::LinkFailed>();
  ASSERT_EQ(failed.size(), 2u);
  EXPECT_EQ(failed[0].peer, test::second);
  EXPECT_TRUE(failed[0].outgoing);
  EXPECT_EQ(failed[1].peer, test::third);
  EXPECT_EQ(failed[1].fault, wire::LinkFault::unanswered);
  EXPECT_EQ(failed[1].why, "silent");
}

TEST(Links, OfARingThatIsHistoryAreNoNews) {
  PeerBench bench;
  bench.accept();
  bench.step(LinkBroken{Epoch{3}, true, wire::LinkFault::broke, ""});
  bench.recover(5, 2);
  bench.forget_effects();
  bench.step(LinkBroken{Epoch{4}, true, wire::LinkFault::broke, ""});
  EXPECT_TRUE(bench.sent<wire::LinkFailed>().empty());
}

// ---- calls

TEST(Calls, AreAnsweredOnce) {
  PeerBench bench;
  bench.accept();
  bench.step(CallRequested{wire::CallKind::peers_pending});
  ASSERT_EQ(bench.sent<wire::Call>().size(), 1u);
  const CallId call = bench.sent<wire::Call>()[0].call;
  bench.from_master(wire::CallResult{.call = call.next()});
  EXPECT_TRUE(bench.effects<CompleteCall>().empty()) << "the answer to another call";
  bench.from_master(wire::CallResult{.call = call, .peers_pending = true});
  bench.from_master(wire::CallResult{.call = call});
  ASSERT_EQ(bench.effects<CompleteCall>().size(), 1u);
  EXPECT_TRUE(bench.effects<CompleteCall>()[0].peers_pending);
  bench.step(CallRequested{wire::CallKind::peers_pending});
  EXPECT_NE(bench.sent<wire::Call>()[1].call, call);
}

TEST(Calls, TwoAtOnceAreTheCallersMistake) {
  PeerBench bench;
  bench.accept();
  bench.step(CallRequested{wire::CallKind::peers_pending});
  bench.step(CallRequested{wire::CallKind::update_topology});
  EXPECT_EQ(bench.sent<wire::Call>().size(), 1u);
  ASSERT_EQ(bench.effects<CompleteCall>().size(), 1u);
  EXPECT_EQ(bench.effects<CompleteCall>()[0].outcome.status, Status::invalid_usage);
  EXPECT_TRUE(bench.machine().in_call()) << "the first one still waits";
}

TEST(Calls, EndWithTheMaster) {
  PeerBench bench;
  bench.accept();
  bench.step(CallRequested{wire::CallKind::update_topology});
  const OpHandle op = bench.launch(1);
  bench.step(MasterGone{"reset"});
  EXPECT_TRUE(bench.effects<CompleteCall>().empty()) << "it may come back";
  bench.pass(60s, false);
  EXPECT_TRUE(bench.effects<CompleteCall>().empty()) << "not a moment too soon";
  bench.pass(1s, false);
  ASSERT_EQ(bench.effects<CompleteCall>().size(), 1u);
  EXPECT_EQ(bench.effects<CompleteCall>()[0].outcome.status, Status::master_lost);
  EXPECT_NE(bench.machine().gone().why.find("the master has been away for 60."), std::string::npos);
  EXPECT_EQ(bench.ended(op)->status, Status::master_lost);
  EXPECT_EQ(bench.effects<CancelRing>().size(), 1u);
}

TEST(Calls, UpdateTopologyShowsTheCallerTheNewestRing) {
  PeerBench bench;
  bench.accept();
  bench.recover(5, 2);
  bench.step(CallRequested{wire::CallKind::update_topology});
  bench.from_master(wire::CallResult{.call = CallId{1}, .counts = {9, 8, 7}});
  EXPECT_EQ(bench.machine().seen().epoch, Epoch{5});
  EXPECT_EQ(bench.machine().seen().counts.global_world_size, 9u);
}

// ---- time

TEST(Time, HeartbeatsGoOutSixTimesInAPeerTimeout) {
  PeerBench bench;
  bench.accept();
  bench.pass(3s, true);
  EXPECT_EQ(bench.sent<wire::Heartbeat>().size(), 6u);
}

TEST(Time, AProbeIsAnsweredAtOnce) {
  PeerBench bench;
  bench.accept();
  bench.from_master(wire::Heartbeat{.probe = true});
  ASSERT_EQ(bench.sent<wire::Heartbeat>().size(), 1u);
  EXPECT_TRUE(bench.sent<wire::Heartbeat>()[0].probe);
  EXPECT_EQ(bench.sent<wire::Heartbeat>()[0].epoch, Epoch{4});
}

TEST(Time, AMasterThatIsSilentIsLost) {
  for (const bool member : {false, true}) {
    PeerBench bench;
    member ? bench.accept() : bench.pend();
    bench.pass(60s, false);
    EXPECT_TRUE(bench.effects<CloseMaster>().empty()) << "not a moment too soon";
    bench.pass(1s, false);
    EXPECT_EQ(bench.effects<CloseMaster>().size(), 1u);
    EXPECT_EQ(bench.machine().gone().status, Status::master_lost);
    EXPECT_NE(bench.machine().gone().why.find("silent for 60."), std::string::npos);
  }
}

TEST(Time, OversleepingIsNotTheMastersSilence) {
  PeerBench bench;
  bench.accept();
  bench.oversleep(1h);
  EXPECT_EQ(bench.machine().standing(), Standing::accepted);
  bench.pass(59s, false);
  EXPECT_EQ(bench.machine().standing(), Standing::accepted);
  bench.pass(3s, false);
  EXPECT_EQ(bench.machine().standing(), Standing::gone);
}

TEST(Time, AnyTimeoutThatAMasterNamesGivesABearableRhythm) {
  for (const std::uint32_t timeout_ms : {0u, 1u, 60u, 3000u, 0xffffffffu}) {
    PeerBench bench;
    bench.greet();
    bench.forget_effects();
    bench.from_master(wire::Welcome{test::self, timeout_ms});
    ASSERT_EQ(bench.effects<PeerWakeAt>().size(), 1u);
    const Duration interval = bench.effects<PeerWakeAt>()[0].at - bench.now();
    EXPECT_GE(interval, 10ms) << timeout_ms;
    EXPECT_LE(interval, 10min) << timeout_ms;
  }
}

}  // namespace
}  // namespace pccl::membership
