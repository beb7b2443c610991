// A sync as a peer sees it: one result each, and only one that can be true is believed.
#include <gtest/gtest.h>

#include "membership/peer_bench.hpp"

namespace pccl::membership {
namespace {

using test::PeerBench;
using Standing = PeerMachine::Standing;

Digest digest(std::uint8_t which) {
  Digest made;
  made.octets[0] = which;
  return made;
}

struct PeerSyncs : testing::Test {
  PeerSyncs() { bench.accept(); }
  void offer(std::uint8_t content, bool whole = true) {
    bench.step(SyncRequested{{.content = digest(content), .whole = whole}});
  }
  CallId call() const { return bench.sent<wire::SyncOffer>().back().call; }
  void elect(std::uint8_t content) {
    bench.from_master(wire::SyncElected{.call = call(), .content = digest(content)});
  }
  void result(Status status, std::uint8_t content = 0) {
    bench.from_master(wire::SyncResult{.call = call(),
                                       .round = CallRound{1},
                                       .status = status,
                                       .synchronised = true,
                                       .revision = Revision{4},
                                       .content = digest(content),
                                       .why = "because"});
  }
  void expect_ended(Status status) {
    ASSERT_EQ(bench.effects<CompleteSync>().size(), 1u);
    EXPECT_EQ(bench.effects<CompleteSync>()[0].outcome.status, status);
    EXPECT_FALSE(bench.machine().in_call());
  }
  void expect_protocol_error() {
    EXPECT_EQ(bench.machine().standing(), Standing::gone);
    EXPECT_NE(bench.machine().gone().why.find("protocol error"), std::string::npos);
  }
  PeerBench bench;
};

TEST_F(PeerSyncs, WhatIsOfferedWins) {
  offer(5);
  result(Status::ok, 5);
  expect_ended(Status::ok);
  EXPECT_EQ(bench.effects<CompleteSync>()[0].revision, Revision{4});
  EXPECT_TRUE(bench.effects<MoveState>().empty());
}

TEST_F(PeerSyncs, AnotherContentIsFetched) {
  offer(5);
  elect(6);
  ASSERT_EQ(bench.effects<MoveState>().size(), 1u);
  EXPECT_TRUE(bench.effects<MoveState>()[0].fetch);
  bench.step(StateFetched{call(), {}});
  EXPECT_EQ(bench.sent<wire::SyncDone>().back().status, Status::ok);
  result(Status::ok, 6);
  expect_ended(Status::ok);
}

TEST_F(PeerSyncs, WhoHoldsItOnlyServes) {
  offer(5);
  elect(5);
  EXPECT_FALSE(bench.effects<MoveState>().at(0).fetch);
  result(Status::ok, 5);
  expect_ended(Status::ok);
}

// The others had it all before they heard of it.
TEST_F(PeerSyncs, AHolderThatCannotServeStillHoldsIt) {
  offer(5);
  elect(5);
  bench.step(StateFetched{call(), {Status::internal, "GPU 0: out of order"}});
  EXPECT_EQ(bench.sent<wire::SyncDone>().back().status, Status::internal);
  result(Status::ok, 5);
  expect_ended(Status::ok);
}

TEST_F(PeerSyncs, AMixtureIsFetchedAnewEvenWithTheSameDigest) {
  offer(5, false);
  elect(5);
  EXPECT_TRUE(bench.effects<MoveState>().at(0).fetch);
}

TEST_F(PeerSyncs, OtherHoldersAreTold) {
  offer(5);
  elect(6);
  elect(6);
  EXPECT_EQ(bench.effects<MoveState>().size(), 2u);
}

TEST_F(PeerSyncs, TwoContentsInOneSync) {
  offer(5);
  elect(6);
  elect(7);
  expect_protocol_error();
}

TEST_F(PeerSyncs, SuccessBeforeTheContentIsHere) {
  offer(5);
  elect(6);
  result(Status::ok, 6);
  expect_protocol_error();
}

TEST_F(PeerSyncs, SuccessWithAContentThatIsNotHere) {
  offer(5);
  result(Status::ok, 6);
  expect_protocol_error();
}

TEST_F(PeerSyncs, FailureIsBelieved) {
  offer(5);
  elect(6);
  result(Status::invalid_usage);
  expect_ended(Status::invalid_usage);
}

TEST_F(PeerSyncs, TheStateIsDescribedOnDemand) {
  bench.from_master(wire::StateWanted{CallId{1}});
  EXPECT_TRUE(bench.effects<DescribeState>().empty());
  offer(5);
  bench.from_master(wire::StateWanted{call()});
  EXPECT_EQ(bench.effects<DescribeState>().size(), 1u);
}

TEST_F(PeerSyncs, RemovalEndsIt) {
  offer(5);
  bench.from_master(wire::Removed{"test"});
  expect_ended(Status::removed);
}

TEST_F(PeerSyncs, OneCallAtATime) {
  offer(5);
  bench.step(CallRequested{wire::CallKind::peers_pending});
  EXPECT_EQ(bench.effects<CompleteCall>().at(0).outcome.status, Status::invalid_usage);
  offer(5);
  EXPECT_EQ(bench.effects<CompleteSync>().at(0).outcome.status, Status::invalid_usage);
  EXPECT_TRUE(bench.machine().in_call());
}

TEST_F(PeerSyncs, WhatIsOfNoCallIsIgnored) {
  bench.from_master(wire::SyncElected{});
  bench.from_master(wire::SyncResult{});
  offer(5);
  bench.from_master(wire::SyncResult{.call = CallId{77}, .content = digest(5)});
  bench.from_master(wire::CallResult{.call = call()});
  bench.step(StateFetched{CallId{77}, {}});
  EXPECT_TRUE(bench.effects<CompleteSync>().empty());
  EXPECT_TRUE(bench.effects<CompleteCall>().empty());
  EXPECT_TRUE(bench.sent<wire::SyncDone>().empty());
  EXPECT_EQ(bench.machine().standing(), Standing::accepted);
}

}  // namespace
}  // namespace pccl::membership
