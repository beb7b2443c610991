// Syncs of the shared state at the master: who fetches, when it ends, and who is refused.
#include <gtest/gtest.h>

#include <optional>

#include "base/limits.hpp"
#include "membership/master_bench.hpp"

namespace pccl::membership {
namespace {

using test::MasterBench;
using wire::SyncDone;
using wire::SyncElected;
using wire::SyncOffer;
using wire::SyncResult;

Digest digest(std::uint8_t which) {
  Digest made;
  made.octets[0] = which;
  return made;
}

struct Syncs : testing::Test {
  SyncOffer offer(std::uint8_t content, std::uint64_t revision = 0) {
    return {.call = CallId{next_call++},
            .revision = Revision{revision},
            .keys = digest(1),
            .content = digest(content)};
  }
  void sync(std::size_t peer, const SyncOffer& what) {
    calls[peer] = what.call;
    bench.frame(peers[peer], what);
  }
  void done(std::size_t peer, Status status = Status::ok, const std::string& why = {}) {
    const auto token = bench.last<SyncElected>(peers[peer]).token;
    bench.frame(peers[peer], SyncDone{calls[peer], token, status, why});
  }
  std::optional<SyncResult> result(std::size_t peer) {
    const auto results = bench.sent<SyncResult>(peers[peer]);
    EXPECT_LE(results.size(), 1u);
    if (results.empty()) return std::nullopt;
    EXPECT_EQ(results[0].call, calls[peer]);
    return results[0];
  }
  void expect_results(const std::vector<std::size_t>& members, Status status) {
    for (const std::size_t peer : members) {
      ASSERT_TRUE(result(peer)) << peer;
      EXPECT_EQ(result(peer)->status, status) << result(peer)->why;
    }
  }
  std::size_t holders_told(std::size_t peer) {
    return bench.last<SyncElected>(peers[peer]).holders.size();
  }

  MasterBench bench;
  std::uint64_t next_call = 100;
  std::vector<std::uint64_t> peers = bench.join_many(3);
  std::map<std::size_t, CallId> calls;
};

TEST_F(Syncs, EqualStatesNeedOneRoundTrip) {
  sync(0, offer(5)), sync(1, offer(5));
  EXPECT_FALSE(result(0));
  sync(2, offer(5));
  expect_results({0, 1, 2}, Status::ok);
  EXPECT_TRUE(bench.sent<SyncElected>(peers[0]).empty());
  EXPECT_EQ(bench.group().next_revision, Revision{1});
}

TEST_F(Syncs, WhoHasAnotherContentFetchesIt) {
  sync(0, offer(5, 8)), sync(1, offer(5, 8)), sync(2, offer(6));
  for (const std::uint64_t peer : peers) {
    const auto elected = bench.last<SyncElected>(peer);
    EXPECT_EQ(elected.content, digest(5));
    EXPECT_EQ(elected.revision, Revision{8});
    ASSERT_EQ(elected.holders.size(), 2u);
    EXPECT_EQ(elected.token, bench.last<SyncElected>(peers[0]).token);
  }
  EXPECT_FALSE(result(0));
  done(2);
  expect_results({0, 1, 2}, Status::ok);
  EXPECT_EQ(result(2)->revision, Revision{8});
  EXPECT_EQ(result(2)->content, digest(5));
  EXPECT_EQ(bench.group().next_revision, Revision{9});
}

TEST_F(Syncs, WhoIsDoneServesTheOthers) {
  sync(0, offer(5, 8)), sync(1, offer(6)), sync(2, offer(7));
  EXPECT_EQ(holders_told(2), 1u);
  done(1);
  EXPECT_EQ(holders_told(2), 2u);
  EXPECT_FALSE(result(1));
  bench.close(peers[0]);  // the only one who had it at first
  EXPECT_EQ(holders_told(2), 1u);
  done(2);
  expect_results({1, 2}, Status::ok);
}

TEST_F(Syncs, TheLastHolderIsLost) {
  sync(0, offer(5, 8)), sync(1, offer(6)), sync(2, offer(7));
  bench.close(peers[0]);
  expect_results({1, 2}, Status::invalid_usage);
  EXPECT_NE(result(1)->why.find("last holder"), std::string::npos);
  EXPECT_FALSE(bench.group().next_revision);
}

TEST_F(Syncs, AFetcherIsLost) {
  sync(0, offer(5, 8)), sync(1, offer(5, 8)), sync(2, offer(7));
  bench.close(peers[2]);
  expect_results({0, 1}, Status::ok);
}

TEST_F(Syncs, AFetcherThatCannotIsRemovedAndTheOthersGoOn) {
  sync(0, offer(5, 8)), sync(1, offer(6)), sync(2, offer(7));
  done(1, Status::peer_lost, "no route to host");
  EXPECT_FALSE(bench.closed(peers[1])) << "the holder may be dead";
  EXPECT_TRUE(bench.last<wire::Heartbeat>(peers[0]).probe);
  bench.frame(peers[0], wire::Heartbeat{.probe = true});
  EXPECT_NE(bench.removal(peers[1]).find("no route to host"), std::string::npos);
  done(2);
  expect_results({0, 2}, Status::ok);
}

TEST_F(Syncs, AHolderThatIsDeadIsNotTheFaultOfWhoFetches) {
  sync(0, offer(5, 8)), sync(1, offer(6)), sync(2, offer(7));
  done(1, Status::peer_lost, "connection refused");
  done(2, Status::peer_lost, "connection refused");
  bench.close(peers[0]);
  expect_results({1, 2}, Status::invalid_usage);
}

TEST_F(Syncs, AHolderThatCannotServeIsRemovedAndTheOthersGoOn) {
  sync(0, offer(5, 8)), sync(1, offer(5, 8)), sync(2, offer(7));
  done(0, Status::internal, "GPU 0: out of order");
  EXPECT_NE(bench.removal(peers[0]).find("GPU 0: out of order"), std::string::npos);
  EXPECT_EQ(holders_told(2), 1u);
  done(2);
  expect_results({1, 2}, Status::ok);
}

TEST_F(Syncs, TheLastHolderCannotServe) {
  sync(0, offer(5, 8)), sync(1, offer(6)), sync(2, offer(7));
  done(0, Status::internal, "GPU 0: out of order");
  expect_results({1, 2}, Status::invalid_usage);
}

// An application that trains on while its state is served: of the peers it is the one at fault.
TEST_F(Syncs, AHolderThatSendsSeveralSomethingElseIsRemoved) {
  sync(0, offer(5, 8)), sync(1, offer(6)), sync(2, offer(7));
  done(1, Status::invalid_usage, "a block that is not the elected one");
  bench.frame(peers[0], wire::Heartbeat{.probe = true});
  EXPECT_FALSE(bench.closed(peers[1])) << "the other may get it";
  done(2, Status::invalid_usage, "a block that is not the elected one");
  bench.frame(peers[0], wire::Heartbeat{.probe = true});
  EXPECT_NE(bench.removal(peers[0]).find("other bytes"), std::string::npos);
  expect_results({1, 2}, Status::invalid_usage);
}

TEST_F(Syncs, OneWhoMistrustsAHolderThatServedAnotherWell) {
  sync(0, offer(5, 8)), sync(1, offer(6)), sync(2, offer(7));
  done(1, Status::invalid_usage, "a block that is not the elected one");
  bench.frame(peers[0], wire::Heartbeat{.probe = true});
  done(2);
  done(1, Status::invalid_usage, "a block that is not the elected one");
  for (const std::size_t holder : {0u, 2u})
    bench.frame(peers[holder], wire::Heartbeat{.probe = true});
  EXPECT_TRUE(bench.closed(peers[1]));
  expect_results({0, 2}, Status::ok);
}

TEST_F(Syncs, AReportOnAnEarlierElectionIsNotHeard) {
  sync(0, offer(5, 8)), sync(1, offer(6)), sync(2, offer(5, 8));
  bench.frame(peers[1], SyncDone{calls[1], wire::Token{}, Status::ok, {}});
  EXPECT_FALSE(result(1));
  done(1);
  expect_results({0, 1, 2}, Status::ok);
}

TEST_F(Syncs, WhoCannotFetchTriesTheHolderThatHasComeUp) {
  sync(0, offer(5, 8)), sync(1, offer(6)), sync(2, offer(7));
  done(1, Status::peer_lost, "no route to host");
  done(2);
  EXPECT_EQ(holders_told(1), 2u);
  bench.frame(peers[0], wire::Heartbeat{.probe = true});
  EXPECT_FALSE(bench.closed(peers[1]));
  done(1);
  expect_results({0, 1, 2}, Status::ok);
}

TEST_F(Syncs, WhenOneOfTheHoldersIsLostTheOthersAreAskedAgain) {
  sync(0, offer(5, 8)), sync(1, offer(5, 8)), sync(2, offer(7));
  done(2, Status::peer_lost, "no route to host");
  bench.frame(peers[0], wire::Heartbeat{.probe = true});
  bench.close(peers[1]);
  EXPECT_FALSE(bench.closed(peers[2]));
  bench.frame(peers[0], wire::Heartbeat{.probe = true});
  EXPECT_NE(bench.removal(peers[2]).find("no route to host"), std::string::npos);
  expect_results({0}, Status::ok);
}

TEST_F(Syncs, AHolderThatDoesNotAnswerIsNotWaitedForForEver) {
  sync(0, offer(5, 8)), sync(1, offer(6)), sync(2, offer(7));
  done(1, Status::peer_lost, "no route to host");
  bench.pass_alive(2 * test::peer_timeout);
  EXPECT_NE(bench.removal(peers[1]).find("no route to host"), std::string::npos);
}

TEST_F(Syncs, AMemberThatDiesBeforeItsOfferIsNotWaitedFor) {
  sync(0, offer(5)), sync(1, offer(5));
  bench.close(peers[2]);
  expect_results({0, 1}, Status::ok);
}

TEST_F(Syncs, OtherEntriesAreRefusedWithTheFirstDifference) {
  const std::vector<wire::StateEntry> ours{{"weights", DataType::float32, 8, false},
                                           {"step", DataType::int64, 1, false}};
  std::vector<wire::StateEntry> theirs = ours;
  theirs[1].name = "steps";
  SyncOffer other = offer(6);
  other.keys = digest(2);
  sync(0, offer(5)), sync(1, other), sync(2, offer(5));
  for (const std::size_t peer : {0u, 1u, 2u}) {
    EXPECT_EQ(bench.sent<wire::StateWanted>(peers[peer]).size(), 1u);
    EXPECT_FALSE(bench.closed(peers[1]));
    bench.frame(peers[peer], wire::StateDescribed{calls[peer], 2, 0, peer == 1 ? theirs : ours});
  }
  const std::string why = bench.removal(peers[1]);
  EXPECT_NE(why.find("entry 1 is \"steps\" (1 x int64), the group has \"step\" (1 x int64)"),
            std::string::npos)
      << why;
  expect_results({0, 2}, Status::ok);
}

TEST_F(Syncs, ADifferenceFarDownIsLookedFor) {
  const wire::StateEntry same{"weights", DataType::float32, 8, false};
  wire::StateEntry differs = same;
  differs.count = 9;
  SyncOffer other = offer(6);
  other.keys = digest(2);
  sync(0, offer(5)), sync(1, other), sync(2, offer(5));
  const auto describe = [&](std::size_t peer, const std::vector<wire::StateEntry>& entries) {
    const auto from = bench.last<wire::StateWanted>(peers[peer]).from;
    bench.frame(peers[peer], wire::StateDescribed{calls[peer], 7, from, entries});
  };
  describe(0, {same, same, same}), describe(1, {same, same}), describe(2, {same, same, same});
  EXPECT_EQ(bench.last<wire::StateWanted>(peers[1]).from, 2u);
  describe(0, {same, same}), describe(1, {same, same}), describe(2, {same, same});
  EXPECT_EQ(bench.last<wire::StateWanted>(peers[1]).from, 4u);
  describe(0, {same, same, same}), describe(1, {same, differs, same});
  EXPECT_FALSE(bench.closed(peers[1]));
  describe(2, {same, same, same});
  EXPECT_NE(bench.removal(peers[1]).find("entry 5 is \"weights\" (9 x float32)"), std::string::npos)
      << bench.removal(peers[1]);
  expect_results({0, 2}, Status::ok);
}

TEST_F(Syncs, WhoDescribesNothingEndsTheSearch) {
  const wire::StateEntry same{"weights", DataType::float32, 8, false};
  SyncOffer other = offer(6);
  other.keys = digest(2);
  sync(0, offer(5)), sync(1, other), sync(2, offer(5));
  for (const std::size_t peer : {0u, 1u})
    bench.frame(peers[peer], wire::StateDescribed{calls[peer], 7, 0, {same, same}});
  bench.frame(peers[2], wire::StateDescribed{calls[2], 7, 0, {}});
  EXPECT_NE(bench.removal(peers[1]).find("after entry 2"), std::string::npos);
  expect_results({0, 2}, Status::ok);
}

TEST_F(Syncs, WhoDoesNotDescribeItsEntriesIsRemoved) {
  SyncOffer other = offer(6);
  other.keys = digest(2);
  sync(0, offer(5)), sync(1, other), sync(2, offer(5));
  for (const std::size_t peer : {0u, 2u})
    bench.frame(peers[peer], wire::StateDescribed{calls[peer], 0, 0, {}});
  bench.pass_alive(2 * test::peer_timeout);
  EXPECT_TRUE(bench.closed(peers[1]));
  expect_results({0, 2}, Status::ok);
}

TEST_F(Syncs, TheRevisionAdvancesByOne) {
  for (std::uint64_t revision = 0; revision < 3; ++revision) {
    for (const std::size_t peer : {0u, 1u, 2u}) sync(peer, offer(5, revision));
    expect_results({0, 1, 2}, Status::ok);
    bench.forget_what_was_sent();
  }
  for (const std::size_t peer : {0u, 1u, 2u}) sync(peer, offer(6, 2));
  expect_results({0, 1, 2}, Status::invalid_usage);
}

TEST_F(Syncs, GroupsDoNotWaitForEachOther) {
  // The newcomer's admission needs everybody's call.
  const std::uint64_t stranger = bench.join(Group{9});
  bench.forget_what_was_sent();
  for (const std::size_t peer : {0u, 1u, 2u}) sync(peer, offer(5));
  expect_results({0, 1, 2}, Status::ok);
  EXPECT_TRUE(bench.sent<SyncResult>(stranger).empty());
}

TEST_F(Syncs, CallsThatCannotMatchFailOnAll) {
  sync(0, offer(5)), sync(1, offer(5));
  bench.frame(peers[2], wire::Call{CallId{1}, wire::CallKind::peers_pending});
  expect_results({0, 1}, Status::invalid_usage);
  EXPECT_NE(result(0)->why.find("in pcclSynchronizeSharedState"), std::string::npos);
  EXPECT_EQ(bench.last<wire::CallResult>(peers[2]).status, Status::invalid_usage);
}

TEST_F(Syncs, ARunningSyncIsNoMismatch) {
  const std::uint64_t stranger = bench.join(Group{9});
  bench.forget_what_was_sent();
  sync(0, offer(5)), sync(1, offer(5)), sync(2, offer(6));
  bench.frame(stranger, wire::Call{CallId{1}, wire::CallKind::update_topology});
  EXPECT_TRUE(bench.sent<wire::CallResult>(stranger).empty());
  done(2);
  expect_results({0, 1, 2}, Status::ok);
}

TEST_F(Syncs, AnOfferBeforeAdmission) {
  const std::uint64_t newcomer = bench.greet();
  bench.frame(newcomer, offer(5));
  EXPECT_NE(bench.removal(newcomer).find("protocol error"), std::string::npos);
}

TEST_F(Syncs, ARevisionBeyondTheHighest) {
  sync(0, offer(5, limits::highest_number));
  EXPECT_NE(bench.removal(peers[0]).find("protocol error"), std::string::npos);
}

TEST_F(Syncs, TwoOffersAtOnce) {
  sync(0, offer(5)), sync(0, offer(5));
  EXPECT_NE(bench.removal(peers[0]).find("two calls at once"), std::string::npos);
}

TEST_F(Syncs, StrayReportsAreIgnored) {
  done(0);
  bench.frame(peers[0], wire::StateDescribed{});
  sync(0, offer(5)), sync(1, offer(5)), sync(2, offer(6));
  done(0);  // has nothing to fetch
  bench.frame(peers[2], SyncDone{CallId{1}, {}, Status::ok, {}});
  EXPECT_FALSE(result(0));
}

}  // namespace
}  // namespace pccl::membership
