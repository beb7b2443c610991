// A master that was started again, and what it makes of what its peers say.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/limits.hpp"
#include "membership/master_bench.hpp"

namespace pccl::membership {
namespace {

using namespace std::chrono_literals;
using test::address;
using test::bench_term;
using test::MasterBench;

constexpr Term term_before{3};
constexpr PeerId a{1, 1}, b{2, 2}, c{3, 3};
constexpr wire::OpDescriptor ring_op{100'000, DataType::uint8, RedOp::sum, wire::Algorithm::ring};
constexpr wire::OpDescriptor star_op{4, DataType::uint8, RedOp::sum, wire::Algorithm::star};

OpKey op(std::uint64_t tag, std::uint64_t epoch = 4) {
  return {Epoch{epoch}, Tag{tag}, Launch{0}};
}

wire::ResumeEnd state(const std::vector<PeerId>& ring, std::uint64_t epoch = 4,
                      std::uint64_t verdict = 0) {
  wire::ResumeEnd end{.run = Term{2}, .epoch = Epoch{epoch}, .verdict = VerdictNumber{verdict}};
  for (const PeerId peer : ring) end.ring.push_back({peer, {}});
  end.counts = {static_cast<std::uint32_t>(ring.size()), 1,
                static_cast<std::uint32_t>(ring.size())};
  return end;
}

struct Returning : testing::Test {
  std::uint64_t resume(PeerId peer, Term term = term_before) {
    const std::uint64_t connection = bench.open();
    bench.frame(connection, wire::Resume{.peer = peer, .p2p_port = 48150}, term);
    return connection;
  }
  std::uint64_t back(PeerId peer, const std::vector<wire::Message>& known,
                     const wire::ResumeEnd& end) {
    const std::uint64_t connection = resume(peer);
    EXPECT_EQ(bench.last<wire::Welcome>(connection).peer, peer);
    for (const wire::Message& message : known) bench.frame(connection, message);
    bench.frame(connection, end);
    return connection;
  }
  static wire::OpVerdict commit(std::uint64_t tag, std::uint64_t number) {
    return {op(tag), VerdictNumber{number}, wire::OpOutcome::committed, {}, {}};
  }
  MasterBench bench;
};

TEST_F(Returning, AWholeRingGoesOnWithItsEpoch) {
  const std::vector<wire::Message> links{wire::LinksReady{Epoch{4}}};
  const auto first = back(a, links, state({a, b}));
  EXPECT_TRUE(bench.machine().resuming());
  EXPECT_EQ(bench.machine().counts().global_world_size, 0u);
  const auto second = back(b, links, state({a, b}));
  EXPECT_FALSE(bench.machine().resuming());
  EXPECT_EQ(bench.machine().counts().global_world_size, 2u);
  EXPECT_EQ(bench.group().ring, (std::vector<PeerId>{a, b}));
  EXPECT_TRUE(bench.group().linked);
  for (const auto peer : {first, second}) {
    EXPECT_TRUE(bench.sent<wire::EpochProposed>(peer).empty());
    ASSERT_EQ(bench.sent<wire::EpochInstalled>(peer).size(), 1u);
    EXPECT_EQ(bench.last<wire::EpochInstalled>(peer).epoch, Epoch{4});
    EXPECT_EQ(bench.last<wire::EpochInstalled>(peer).run, Term{2});
  }
}

TEST_F(Returning, OpenOpsEndByTheUsualRules) {
  const std::vector<std::byte> input(4, std::byte{1});
  const auto first = back(a,
                          {wire::OpBegin{op(1), ring_op, {}}, wire::OpDone{op(1)},
                           wire::OpBegin{op(2), star_op, input}},
                          state({a, b}));
  const auto second = back(
      b, {wire::OpBegin{op(1), ring_op, {}}, wire::OpBegin{op(2), star_op, input}}, state({a, b}));
  auto verdicts = bench.sent<wire::OpVerdict>(first);
  ASSERT_EQ(verdicts.size(), 1u) << "the star: both inputs are there";
  EXPECT_EQ(verdicts[0].op, op(2));
  EXPECT_EQ(verdicts[0].result, std::vector<std::byte>(4, std::byte{2}));
  bench.frame(second, wire::OpDone{op(1)});
  verdicts = bench.sent<wire::OpVerdict>(first);
  ASSERT_EQ(verdicts.size(), 2u);
  EXPECT_EQ(verdicts[1].outcome, wire::OpOutcome::committed);
}

TEST_F(Returning, AKnownVerdictIsToldUnderItsNumber) {
  const auto first = back(a, {commit(1, 1), commit(2, 2)}, state({a, b}, 4, 2));
  const auto second =
      back(b, {commit(1, 1), wire::OpBegin{op(2), ring_op, {}}, wire::OpDone{op(2)}},
           state({a, b}, 4, 1));
  EXPECT_TRUE(bench.sent<wire::OpVerdict>(first).empty());
  const auto verdicts = bench.sent<wire::OpVerdict>(second);
  ASSERT_EQ(verdicts.size(), 1u);
  EXPECT_EQ(verdicts[0].op, op(2));
  EXPECT_EQ(verdicts[0].number, VerdictNumber{2});
  EXPECT_EQ(bench.group().open_ops, 0u);
  // The next one has the next number.
  for (const auto peer : {first, second}) {
    bench.frame(peer, wire::OpBegin{op(3), ring_op, {}});
    bench.frame(peer, wire::OpDone{op(3)});
  }
  EXPECT_EQ(bench.last<wire::OpVerdict>(first).number, VerdictNumber{3});
}

TEST_F(Returning, AMissingMemberIsWaitedForAndThenLeftOut) {
  const auto first = back(a, {wire::OpBegin{op(1), ring_op, {}}, wire::OpDone{op(1)}, commit(2, 1)},
                          state({a, b, c}, 4, 1));
  const auto second = back(b,
                           {wire::OpBegin{op(1), ring_op, {}}, wire::OpDone{op(1)},
                            wire::OpBegin{op(2), ring_op, {}}, wire::OpDone{op(2)}},
                           state({a, b, c}));
  bench.pass_alive(3s);
  EXPECT_TRUE(bench.machine().resuming()) << "not a moment too soon";
  bench.pass_alive(1s);
  EXPECT_FALSE(bench.machine().resuming());
  EXPECT_TRUE(bench.sent<wire::OpVerdict>(first).empty()) << "what nobody knows is not decided";
  ASSERT_EQ(bench.sent<wire::OpVerdict>(second).size(), 1u) << "what somebody knows is true";
  EXPECT_EQ(bench.last<wire::OpVerdict>(second).op, op(2));
  for (const auto peer : {first, second}) {
    const auto proposed = bench.last<wire::EpochProposed>(peer);
    EXPECT_EQ(proposed.reason, wire::EpochReason::recovery);
    EXPECT_GT(proposed.epoch.value, bench_term.value);
    EXPECT_EQ(proposed.ring.size(), 2u);
    EXPECT_NE(proposed.why.find(short_name(c)), std::string::npos) << proposed.why;
  }
  const auto late = resume(c);
  EXPECT_NE(bench.removal(late).find("gone on without it"), std::string::npos);
  EXPECT_TRUE(bench.closed(late));
}

TEST_F(Returning, TheNewestEpochCounts) {
  const auto ahead = back(a, {}, state({a, b}, 5));
  const auto behind = back(b, {wire::OpBegin{op(1), ring_op, {}}}, state({a, b, c}));
  const auto out = resume(c);
  EXPECT_TRUE(bench.closed(out)) << "the others were two, and have begun";
  EXPECT_EQ(bench.last<wire::EpochProposed>(ahead).ring.size(), 2u);
  EXPECT_EQ(bench.last<wire::EpochProposed>(behind).ring.size(), 2u);
  EXPECT_GT(bench.epoch(), Epoch{5});
}

TEST_F(Returning, AKnownAnswerIsToldToWhoeverLacksIt) {
  const wire::CallResult answer{.call = CallId{9}, .round = CallRound{6}, .peers_pending = true};
  const auto first = back(a, {answer}, state({a, b}));
  const auto second = back(b,
                           {wire::CallResult{.round = CallRound{5}},
                            wire::Call{CallId{2}, wire::CallKind::peers_pending}},
                           state({a, b}));
  EXPECT_TRUE(bench.sent<wire::CallResult>(first).empty());
  ASSERT_EQ(bench.sent<wire::CallResult>(second).size(), 1u);
  EXPECT_EQ(bench.last<wire::CallResult>(second).call, CallId{2});
  EXPECT_TRUE(bench.last<wire::CallResult>(second).peers_pending);
  // The next round is a new one.
  for (const auto peer : {first, second})
    bench.frame(peer, wire::Call{CallId{10}, wire::CallKind::peers_pending});
  EXPECT_EQ(bench.last<wire::CallResult>(first).round, CallRound{7});
}

// Else it would see a membership that the others, whose sync has ended long ago, have not seen.
TEST_F(Returning, AKnownResultOfASyncIsToldBeforeTheMembershipChanges) {
  const wire::SyncResult known{.round = CallRound{1}, .synchronised = true};
  const auto first = back(a, {known}, state({a, b, c}));
  const auto second = back(b, {wire::SyncOffer{.call = CallId{7}}}, state({a, b, c}));
  bench.pass_alive(4s);
  EXPECT_TRUE(bench.sent<wire::SyncResult>(first).empty());
  ASSERT_EQ(bench.sent<wire::SyncResult>(second).size(), 1u);
  EXPECT_EQ(bench.last<wire::SyncResult>(second).call, CallId{7});
  const auto log = bench.everything_sent(second);
  const auto at = [&](auto what) {
    return std::find_if(log.begin(), log.end(), [&](const wire::Message& message) {
      return wire::kind_of(message) == what;
    });
  };
  EXPECT_LT(at(wire::Kind::sync_result), at(wire::Kind::epoch_proposed));
  EXPECT_NE(at(wire::Kind::epoch_proposed), log.end());
}

TEST_F(Returning, ACallThatNobodyHasAnAnswerToIsMadeAgain) {
  const wire::Call call{CallId{2}, wire::CallKind::peers_pending};
  const auto first = back(a, {wire::CallResult{.round = CallRound{5}}, call}, state({a, b}));
  back(b, {wire::CallResult{.round = CallRound{5}}, call}, state({a, b}));
  ASSERT_EQ(bench.sent<wire::CallResult>(first).size(), 1u);
  EXPECT_EQ(bench.last<wire::CallResult>(first).round, CallRound{6});
}

TEST_F(Returning, NothingIsSaidOfVerdictsBeforeAllAreBack) {
  const auto first = back(a, {commit(1, 1)}, state({a, b, c}, 4, 1));
  bench.pass_alive(2s);
  ASSERT_FALSE(bench.sent<wire::Heartbeat>(first).empty());
  for (const auto& beat : bench.sent<wire::Heartbeat>(first)) EXPECT_EQ(beat.epoch, Epoch{});
}

TEST_F(Returning, OfAnOlderRunAreOut) {
  auto older = state({c, PeerId{9, 9}}, 90);
  older.run = Term{1};
  const auto out = back(c, {}, older);
  back(a, {}, state({a, b}));
  back(b, {}, state({a, b}));
  EXPECT_NE(bench.removal(out).find("another run"), std::string::npos);
  EXPECT_EQ(bench.epoch(), Epoch{4});
}

TEST_F(Returning, AnImpossibleRingIsAProtocolError) {
  for (const auto& ring : {std::vector<PeerId>{}, {b}, {a, a}}) {
    const auto liar = back(a, {}, state(ring));
    EXPECT_NE(bench.removal(liar).find("protocol error"), std::string::npos);
  }
  const auto far_ahead = back(a, {}, state({a}, ~std::uint64_t{0}));
  EXPECT_NE(bench.removal(far_ahead).find("protocol error"), std::string::npos);
}

TEST_F(Returning, WhatNoPeerSaysCostsItsSenderThePlace) {
  const auto honest = back(a, {}, state({a, b}));
  for (const wire::Message& message :
       {wire::Message{wire::Hello{}}, wire::Message{wire::EpochProposed{}},
        wire::Message{wire::OpBegin{op(1), ring_op, std::vector<std::byte>(limits::star_bytes + 1)}}}) {
    const auto liar = resume(b);
    bench.frame(liar, message);
    EXPECT_NE(bench.removal(liar).find("protocol error"), std::string::npos);
  }
  EXPECT_TRUE(bench.is_open(honest));
  EXPECT_TRUE(bench.machine().resuming());
}

TEST_F(Returning, WhoDiesMeanwhileIsLeftOut) {
  const auto first = back(a, {}, state({a, b}));
  bench.close(resume(b));
  bench.pass_alive(4s);
  EXPECT_EQ(bench.last<wire::EpochProposed>(first).ring.size(), 1u);
}

TEST_F(Returning, TwiceIsRefusedAsLongAsTheFirstStands) {
  const auto first = back(a, {}, state({a, b}));
  const auto second = resume(a);
  EXPECT_NE(bench.refusal(second), "");
  EXPECT_TRUE(bench.is_open(first));
}

TEST_F(Returning, ToAMasterThatWasNotRestartedIsRemovedWithTheReason) {
  const auto peers = bench.join_many(3);
  const PeerId lost = bench.id(peers[2]);
  bench.close(peers[2]);
  EXPECT_NE(bench.removal(resume(lost, bench_term)).find("its connection to the master ended"),
            std::string::npos);
  EXPECT_NE(bench.removal(resume(c, bench_term)), "");
  EXPECT_NE(bench.refusal(resume(bench.id(peers[0]), bench_term)), "");
  EXPECT_TRUE(bench.is_open(peers[0]));
}

TEST_F(Returning, FromANewerTermTheMasterTakesUpANewerOne) {
  resume(a, Term{90});
  EXPECT_EQ(bench.machine().term(), Term{91});
  MasterBench running;
  running.join_many(2);
  const auto stranger = running.open();
  running.frame(stranger, wire::Resume{.peer = a}, Term{90});
  EXPECT_NE(running.refusal(stranger).find("older"), std::string::npos);
  EXPECT_EQ(running.machine().term(), bench_term);
}

// The master's own term and its epochs would come after it, and wrap around.
TEST_F(Returning, OfATermBeyondTheHighestIsRefused) {
  for (const std::uint64_t term : {limits::highest_term, std::uint64_t{0} - 1}) {
    const auto liar = resume(a, Term{term});
    EXPECT_NE(bench.refusal(liar).find("protocol error"), std::string::npos);
  }
  EXPECT_FALSE(bench.machine().resuming());
}

TEST_F(Returning, ThePendingAreTakenAlong) {
  const auto newcomer = bench.greet(Group{5});
  // It was about to be let into what looked like an empty run.
  back(a, {}, state({a, b}));
  EXPECT_TRUE(bench.sent<wire::EpochInstalled>(newcomer).empty());
  back(b, {}, state({a, b}));
  EXPECT_EQ(bench.machine().pending_peers(), 1u);
  EXPECT_EQ(bench.machine().counts().global_world_size, 2u);
}

// It may have slept through the beginning of another run.
TEST(Grace, WhoComesBackAloneWaitsForOthers) {
  MasterBench bench(1s);
  const auto alone = bench.open();
  bench.frame(alone, wire::Resume{.peer = a}, term_before);
  bench.frame(alone, state({a}));
  EXPECT_TRUE(bench.machine().resuming());
  bench.pass_alive(1100ms);
  EXPECT_FALSE(bench.machine().resuming());
  EXPECT_EQ(bench.machine().counts().global_world_size, 1u);
}

TEST(Grace, NewcomersWaitForThePeersOfALifeBefore) {
  MasterBench bench(1s);
  const auto newcomer = bench.greet();
  EXPECT_TRUE(bench.sent<wire::EpochProposed>(newcomer).empty());
  bench.pass_alive(400ms);
  EXPECT_TRUE(bench.sent<wire::EpochProposed>(newcomer).empty()) << "not a moment too soon";
  bench.pass_alive(1100ms);
  EXPECT_EQ(bench.sent<wire::EpochProposed>(newcomer).size(), 1u);
}

Recollection before(const std::vector<PeerId>& members, Term term = term_before) {
  return {term, Term{2}, members};
}

TEST(WithARecollection, WhomItDoesNotNameNobodyWaitsFor) {
  MasterBench bench(before({a}));
  const auto back = bench.open();
  bench.frame(back, wire::Resume{.peer = a}, term_before);
  bench.frame(back, state({a, b}));  // b was removed, and a has not heard of it
  EXPECT_FALSE(bench.machine().resuming());
  EXPECT_EQ(bench.group().ring, std::vector<PeerId>{a});
}

TEST(WithARecollection, WhomItNamesIsWaitedFor) {
  MasterBench bench(before({a, c}));
  const auto back = bench.open();
  bench.frame(back, wire::Resume{.peer = a}, term_before);
  bench.frame(back, state({a}));  // c was let in, and a has not heard of it
  bench.pass_alive(1100ms);
  EXPECT_TRUE(bench.machine().resuming());
  bench.pass_alive(test::peer_timeout);
  EXPECT_FALSE(bench.machine().resuming());
}

TEST(WithARecollection, OfALifeBeforeTheLastOneThePeersKnowBetter) {
  MasterBench bench(before({a}, Term{1}));
  const auto back = bench.open();
  bench.frame(back, wire::Resume{.peer = a}, term_before);
  bench.frame(back, state({a, b}));
  EXPECT_TRUE(bench.machine().resuming());
}

// A file that names nobody may be out of date, and is no reason to hurry.
TEST(WithARecollection, ThatIsEmptyTheGraceHoldsAllTheSame) {
  MasterBench bench(before({}));
  const auto newcomer = bench.greet();
  EXPECT_TRUE(bench.sent<wire::EpochProposed>(newcomer).empty());
  bench.pass_alive(1100ms);
  EXPECT_EQ(bench.sent<wire::EpochProposed>(newcomer).size(), 1u);
}

TEST(WithARecollection, NewcomersWaitForThoseItNames) {
  MasterBench bench(before({a}));
  const auto newcomer = bench.greet();
  bench.pass_alive(2s);
  EXPECT_TRUE(bench.sent<wire::EpochProposed>(newcomer).empty());
  bench.pass_alive(2s);
  EXPECT_EQ(bench.sent<wire::EpochProposed>(newcomer).size(), 1u);
}

TEST(WithARecollection, ItNamesTheAccepted) {
  MasterBench bench;
  const auto peers = bench.join_many(3);
  bench.greet();
  EXPECT_EQ(bench.remembered().members.size(), 3u);
  EXPECT_EQ(bench.remembered().term, bench_term);
  EXPECT_EQ(bench.remembered().run, bench_term);
  const PeerId lost = bench.id(peers[1]);
  bench.close(peers[1]);
  EXPECT_EQ(bench.remembered().members.size(), 2u);
  for (const PeerId member : bench.remembered().members) EXPECT_NE(member, lost);
}

}  // namespace
}  // namespace pccl::membership
