// What a lost peer was last seen doing, and who is late.
#include <gtest/gtest.h>

#include "membership/master_bench.hpp"

namespace pccl::membership {
namespace {

using namespace std::chrono_literals;
using test::MasterBench;

constexpr wire::OpDescriptor ring_sum{100'000, DataType::float32, RedOp::sum,
                                      wire::Algorithm::ring};

struct Run4 {
  explicit Run4(Duration straggler_timeout = Duration{0}, bool remove = false)
      : bench(straggler_timeout, remove), peers(bench.join_many(4)) {}
  OpKey key(std::uint64_t tag = 7) { return {bench.epoch(), Tag{tag}, Launch{0}}; }
  void begin(std::initializer_list<std::size_t> who, std::uint64_t tag = 7) {
    for (const std::size_t peer : who)
      bench.frame(peers[peer], wire::OpBegin{key(tag), ring_sum, {}});
  }
  void done(std::size_t peer, std::uint64_t tag = 7) {
    bench.frame(peers[peer], wire::OpDone{key(tag)});
  }
  void tell(std::size_t peer, std::uint16_t per_mille, std::uint64_t tag = 7) {
    bench.frame(peers[peer],
                wire::Heartbeat{.epoch = bench.epoch(), .progress = {key(tag), per_mille}});
  }
  std::string lost(std::size_t peer) {  // its connection ends: as the others hear it
    bench.close(peers[peer]);
    return bench.last<wire::EpochProposed>(peers[peer == 0 ? 1 : 0]).why;
  }
  // Heartbeats that tell of no progress.
  void wait(Duration duration) {
    for (const Instant end = bench.now() + duration; bench.now() < end; bench.tick())
      for (const std::uint64_t peer : peers)
        if (bench.is_open(peer)) bench.frame(peer, wire::LinksReady{Epoch{999}});
  }
  std::size_t members() { return bench.group().ring.size(); }
  MasterBench bench;
  std::vector<std::uint64_t> peers;
};

void expect_part(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << text;
}

TEST(LastSeen, NamesTheOpAndHowFarItWas) {
  Run4 run;
  run.begin({0, 1, 2, 3});
  run.tell(2, 418);
  run.done(0);
  run.done(1);
  expect_part(run.lost(2), "last seen in all-reduce tag 7, 41% done, begun by all, 2 of 4 done");
}

TEST(LastSeen, NamesTheOldestOpThatThePeerTellsOf) {
  Run4 run;
  for (const std::uint64_t tag : {3, 5}) run.begin({0, 1, 2}, tag);
  run.tell(2, 0, 5);
  expect_part(run.lost(2), "last seen in all-reduce tag 5, 0% done, begun by 3 of 4");
}

TEST(LastSeen, OutsideOfOps) {
  expect_part(Run4().lost(1), "last seen between calls");
  Run4 waiting;
  waiting.begin({0, 2, 3});
  expect_part(waiting.lost(1), "last seen between calls, while 3 of 4 are in all-reduce tag 7");
  Run4 done;
  done.begin({0, 1});
  done.done(1);
  expect_part(done.lost(1),
              "last seen waiting for the others in all-reduce tag 7, begun by 2 of 4");
  Run4 calling;
  calling.bench.call_update({calling.peers[1]});
  expect_part(calling.lost(1), "last seen in pcclUpdateTopology");
}

TEST(LastSeen, IsToldOfTheSilentToo) {
  Run4 run;
  run.begin({0, 1, 2, 3});
  run.bench.pass_alive(4s, {run.peers[3]});
  expect_part(run.bench.removal(run.peers[3]), "no heartbeat for 3.");
  expect_part(run.bench.removal(run.peers[3]), "last seen in all-reduce tag 7, begun by all");
}

TEST(Stragglers, AreNobodysBusinessByDefault) {
  Run4 run;
  run.begin({0, 1, 2});
  run.wait(1h);
  EXPECT_EQ(run.members(), 4u);
  EXPECT_EQ(run.bench.noted("late"), "");
}

TEST(Stragglers, WhoDoesNotBeginIsReported) {
  Run4 run(5s);
  run.begin({0, 1, 2});
  run.wait(4s);
  EXPECT_EQ(run.bench.noted("is late"), "");
  run.wait(2s);
  expect_part(run.bench.noted("is late"), short_name(run.bench.id(run.peers[3])));
  expect_part(run.bench.noted("is late"), "while 3 of 4 are in all-reduce tag 7");
  run.wait(1h);
  EXPECT_EQ(run.members(), 4u) << "reported, not removed";
}

TEST(Stragglers, AreRemovedIfSoConfigured) {
  Run4 run(5s, true);
  run.begin({0, 1, 2});
  run.wait(6s);
  EXPECT_TRUE(run.bench.closed(run.peers[3]));
  expect_part(run.bench.removal(run.peers[3]), "it made no progress for 5.");
  EXPECT_EQ(run.members(), 3u);
}

TEST(Stragglers, OfASyncAreReportedAndRemovedToo) {
  for (const bool remove : {false, true}) {
    Run4 run(5s, remove);
    for (const std::size_t peer : {0u, 1u, 2u})
      run.bench.frame(run.peers[peer], wire::SyncOffer{.call = CallId{1}});
    run.wait(4s);
    EXPECT_EQ(run.bench.noted("is late"), "");
    run.wait(2s);
    expect_part(run.bench.noted("is late"), short_name(run.bench.id(run.peers[3])));
    expect_part(run.bench.noted("is late"), "while 3 of 4 are in pcclSynchronizeSharedState");
    EXPECT_EQ(run.bench.closed(run.peers[3]), remove);
    EXPECT_EQ(run.bench.sent<wire::SyncResult>(run.peers[0]).size(), remove ? 1u : 0u);
  }
}

TEST(Stragglers, OfASyncAreNotThoseWhoAreBusyInAnOp) {
  Run4 run(5s, true);
  for (const std::size_t peer : {0u, 1u, 3u})
    run.bench.frame(run.peers[peer], wire::SyncOffer{.call = CallId{1}});
  run.begin({2});
  run.wait(20s);
  EXPECT_EQ(run.members(), 4u);
}

TEST(Stragglers, ProgressIsBeginningEndingOrMovingData) {
  Run4 run(5s, true);
  run.begin({0, 1, 2});
  run.begin({3}, 8);
  for (std::uint16_t step = 1; step < 20; ++step) {
    run.wait(3s);
    run.tell(3, step, 8);
  }
  EXPECT_EQ(run.members(), 4u) << "it is busy in another op";
  run.begin({3});
  for (std::uint16_t step = 1; step < 20; ++step) {
    run.wait(3s);
    for (const std::size_t peer : {0u, 1u, 2u, 3u}) run.tell(peer, step);
  }
  EXPECT_EQ(run.members(), 4u) << "slow is not late";
}

TEST(Stragglers, OfAStandingRingOnlyTheSlowestIsToBlame) {
  for (const bool clear : {true, false}) {
    Run4 run(5s, true);
    run.begin({0, 1, 2, 3});
    for (const std::size_t peer : {0u, 1u, 2u, 3u}) run.tell(peer, 500);
    if (clear)
      for (const std::size_t peer : {0u, 1u, 3u}) run.tell(peer, 510);
    run.wait(6s);
    EXPECT_EQ(run.bench.closed(run.peers[2]), clear);
    EXPECT_EQ(run.members(), clear ? 3u : 4u);
    expect_part(run.bench.noted("is late"), "begun by all");
  }
}

TEST(Stragglers, WhatMostOfTheGroupNeverCallsRemovesNobody) {
  Run4 run(5s, true);
  run.begin({0});
  run.wait(20s);
  EXPECT_EQ(run.members(), 4u);
  EXPECT_NE(run.bench.noted("is late"), "");
}

TEST(Stragglers, NobodyIsLateWhileTheRingIsLinked) {
  Run4 run(2s, true);
  run.bench.close(run.peers[0]);
  for (const std::size_t peer : {1u, 2u})
    run.bench.frame(run.peers[peer], wire::OpBegin{run.key(), ring_sum, {}});
  run.wait(6s);
  EXPECT_EQ(run.members(), 3u);
}

TEST(OpRecords, TellWhenEachPeerBeganAndEnded) {
  Run4 run;
  run.begin({0, 1, 2, 3});
  for (const std::size_t peer : {3u, 2u, 1u, 0u}) run.done(peer);
  const std::string record = run.bench.noted("is decided");
  expect_part(record, "tag 7 (launch 0, epoch ");
  for (const std::uint64_t peer : run.peers) {
    expect_part(record, short_name(run.bench.id(peer)));
  }
  expect_part(record, "began at 0.0 ms");
  expect_part(record, "done at 0.0 ms");
}

}  // namespace
}  // namespace pccl::membership
