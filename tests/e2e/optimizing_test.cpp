// pcclOptimizeTopology between real processes on loopback.
#include <signal.h>

#include <chrono>
#include <cstdio>
#include <thread>

#include "e2e/run.hpp"

namespace e2e {
namespace {

using namespace std::chrono_literals;

constexpr double second = 1e9 * slack;  // of an answer's "took", in nanoseconds

void expect_reduces(const std::vector<Peer*>& peers) {
  const auto lines = ask_all(peers, "reduce tag=1 count=100000");
  for (const Line& line : lines) {
    ASSERT_TRUE(line.ok()) << line.whole;
    EXPECT_EQ(line.values.at("digest"), lines.front().values.at("digest")) << line.whole;
    EXPECT_EQ(line.number("world"), peers.size()) << line.whole;
  }
}

TEST(Optimizing, OnceTakesAWhileAndTwiceNothing) {
  LiveRun run;
  const auto peers = run.join(4);
  for (const Line& line : ask_all(peers, "optimize")) {
    EXPECT_TRUE(line.ok()) << line.whole;
    EXPECT_LT(line.number("took"), 10 * second) << line.whole;
    std::printf("four peers optimise in %.2f s\n", 1e-9 * static_cast<double>(line.number("took")));
  }
  expect_reduces(peers);
  for (const Line& line : ask_all(peers, "optimize")) {
    EXPECT_TRUE(line.ok()) << line.whole;
    EXPECT_LT(line.number("took"), second / 2) << line.whole;
  }
  expect_reduces(peers);
}

TEST(Optimizing, AloneInTheRunIsRefused) {
  LiveRun run;
  const auto peers = run.join(1);
  EXPECT_EQ(peers[0]->ask("optimize").result, "pcclInvalidUsage");
}

TEST(Optimizing, AllGroupsTakePartAndKeepTheirRings) {
  LiveRun run;
  std::vector<Peer*> peers;
  for (const std::uint32_t group : {0u, 1u, 0u, 1u, 2u})
    peers.push_back(&run.start({.group = group}));
  expect_all(ask_all(peers, "join world=5"), "pcclSuccess");
  expect_all(ask_all(peers, "optimize"), "pcclSuccess");
  for (const Line& line : ask_all(peers, "sizes")) {
    EXPECT_EQ(line.number("global"), 5U) << line.whole;
    EXPECT_EQ(line.number("groups"), 3U) << line.whole;
  }
  expect_reduces({peers[0], peers[2]});
  expect_reduces({peers[1], peers[3]});
}

TEST(Optimizing, ANewcomerIsNotAdmittedAndMeasuredLater) {
  LiveRun run;
  auto peers = run.join(3);
  Peer& newcomer = run.start();
  newcomer.say("connect");
  wait_until_pending(peers);
  expect_all(ask_all(peers, "optimize"), "pcclSuccess");
  for (const Line& line : ask_all(peers, "sizes")) EXPECT_EQ(line.number("global"), 3U);
  EXPECT_FALSE(newcomer.has_answered());
  expect_all(ask_all(peers, "update"), "pcclSuccess");
  EXPECT_TRUE(newcomer.answer().ok());
  peers.push_back(&newcomer);
  expect_all(ask_all(peers, "optimize"), "pcclSuccess");
  expect_reduces(peers);
}

TEST(Optimizing, OneThatDiesMeanwhileIsLeftOut) {
  for (const auto moment : {0ms, 300ms, 1500ms}) {
    LiveRun run;
    auto peers = run.join(4);
    for (Peer* peer : peers) peer->say("optimize");
    std::this_thread::sleep_for(moment);
    peers[1]->kill();
    peers.erase(peers.begin() + 1);
    for (const Line& line : answers(peers)) {
      EXPECT_TRUE(line.ok()) << line.whole;
      EXPECT_LT(line.number("took"), 15 * second) << line.whole;
    }
    // Who has not seen the loss yet fails once.
    ask_all(peers, "update");
    expect_reduces(peers);
  }
}

TEST(Optimizing, OneThatFreezesMeanwhileIsLeftOut) {
  LiveRun run({.peer_timeout_s = 1.0 * slack});
  auto peers = run.join(4);
  for (Peer* peer : peers) peer->say("optimize");
  std::this_thread::sleep_for(200ms);
  peers[2]->signal(SIGSTOP);
  Peer& frozen = *peers[2];
  peers.erase(peers.begin() + 2);
  for (const Line& line : answers(peers)) EXPECT_TRUE(line.ok()) << line.whole;
  ask_all(peers, "update");
  expect_reduces(peers);
  frozen.signal(SIGCONT);
  const Line out = frozen.answer();
  EXPECT_EQ(out.result, "pcclTopologyOptimizationFailed") << out.whole;
}

TEST(Optimizing, AMasterThatIsRestartedMeanwhileMeasuresAnew) {
  LiveRun run;
  const auto peers = run.join(3);
  for (Peer* peer : peers) peer->say("optimize");
  std::this_thread::sleep_for(500ms);
  run.master().kill();
  run.start_master();
  for (const Line& line : answers(peers)) EXPECT_TRUE(line.ok()) << line.whole;
  expect_reduces(peers);
}

}  // namespace
}  // namespace e2e
