// Peers that go: killed in the middle of a loop, of a round of admission, of their own join.
#include <signal.h>

#include <random>
#include <thread>

#include "e2e/run.hpp"

namespace e2e {
namespace {

// kill -9 at a moment that nothing chooses, then a newcomer, again and again.
void kill_and_relaunch(const std::string& loop, int kills) {
  LiveRun run;
  auto peers = run.join(4);
  for (Peer* peer : peers) peer->say(loop);
  for (Peer* peer : peers) peer->event("ok");
  std::mt19937 random(4711);
  for (int kill = 0; kill < kills; ++kill) {
    std::this_thread::sleep_for(
        std::chrono::microseconds(random() % 20'000));  // not to synchronise
    const std::size_t victim = random() % peers.size();
    const std::uint64_t killed = now_ns();
    peers[victim]->kill();
    peers.erase(peers.begin() + static_cast<std::ptrdiff_t>(victim));
    for (Peer* peer : peers)
      while (peer->event_after("ok", killed).number("world") != 3) {
      }
    Peer& newcomer = run.start();
    newcomer.say("connect");
    newcomer.say(loop);
    ASSERT_TRUE(newcomer.answer().ok());
    peers.push_back(&newcomer);
    for (Peer* peer : peers)
      while (peer->event_after("ok", killed).number("world") != 4) {
      }
  }
  stop_loop(peers);
}

TEST(Deaths, PlainCalls) {
  kill_and_relaunch("loop pump count=100000", 5);
}
TEST(Deaths, PlainCallsOutOfPlace) {
  kill_and_relaunch("loop pump count=100000 inplace=0", 3);
}
TEST(Deaths, TinyCalls) {
  kill_and_relaunch("loop pump count=100", 3);
}
TEST(Deaths, SeveralWithRetry) {
  kill_and_relaunch("loop pump retry tensors=8 count=20000", 5);
}
TEST(Deaths, SeveralWithRetryOneByOne) {
  kill_and_relaunch("loop pump retry tensors=8 in_flight=1 count=20000", 3);
}

// What has come is added in place while the rest is still to be sent.
TEST(Deaths, OfOneOfTwoThatExchangePairwise) {
  std::mt19937 random(815);
  for (const char* shared_memory : {"0", "1"})
    for (int round = 0; round < 3; ++round) {
      LiveRun run;
      const auto peers = run.join(
          2, {.environment = {{"PCCL_ALGORITHM", "pairwise"}, {"PCCL_SHM", shared_memory}}});
      for (Peer* peer : peers) peer->say("loop count=1000000");
      for (auto rounds = 1 + random() % 4; rounds > 0; --rounds) peers[0]->wait_for_progress();
      peers[1]->kill();
      const Line line = peers[0]->answer();
      EXPECT_EQ(line.result, "pcclTooFewPeers") << line.whole;
      EXPECT_EQ(line.number("wrong"), 0U) << line.whole;
    }
}

TEST(Deaths, BuffersAndAttributesOfTheSurvivors) {
  LiveRun run;
  const auto peers = run.join(3);
  const std::vector<Peer*> survivors{peers[0], peers[1]};
  for (const std::size_t count : {std::size_t{100}, std::size_t{1} << 20})
    for (Peer* peer : survivors)
      peer->say("reduce tag=7 inplace=1 type=10 op=0 count=" + std::to_string(count));
  // The second pair of calls waits behind the first, which waits for the third peer.
  peers[2]->kill();
  for (int call = 0; call < 2; ++call)
    for (Peer* peer : survivors) {
      const Line line = peer->answer();
      if (call == 0) {
        EXPECT_EQ(line.result, "pcclRankConnectionLost") << line.whole;
        EXPECT_EQ(line.number("intact"), 1U) << line.whole;
        EXPECT_NE(line.text.find("was lost"), std::string::npos) << line.whole;
      } else {
        EXPECT_TRUE(line.ok()) << line.whole;
        EXPECT_EQ(line.number("world"), 2U) << line.whole;
      }
    }
  for (const Line& line : ask_all(survivors, "sizes"))
    for (const char* size : {"global", "world", "largest"})
      EXPECT_EQ(line.number(size), 2U) << line.whole;
}

// A departure that nobody was told of yet: the next call fails once, then the world is two.
TEST(Deaths, BetweenCalls) {
  LiveRun run({.peer_timeout_s = 60});
  const auto peers = run.join(3);
  const std::vector<Peer*> survivors{peers[0], peers[1]};
  peers[2]->kill();
  for (const Line& line : ask_all(survivors, "sizes"))
    EXPECT_EQ(line.number("world"), 3U) << "attributes change in calls only: " << line.whole;
  for (const Line& line :
       ask_all(survivors, "reduce tag=7 inplace=1 type=10 op=0 count=9000 seed=4")) {
    EXPECT_EQ(line.result, "pcclRankConnectionLost") << line.whole;
    EXPECT_EQ(line.number("intact"), 1U) << line.whole;
  }
  for (const Line& line :
       ask_all(survivors, "reduce tag=7 inplace=1 type=10 op=0 count=9000 seed=4")) {
    EXPECT_TRUE(line.ok()) << line.whole;
    EXPECT_EQ(line.number("world"), 2U) << line.whole;
  }
  // The last one standing.
  survivors[1]->kill();
  const Line lost = survivors[0]->ask("reduce tag=7 inplace=1 type=10 op=0 count=9000");
  EXPECT_EQ(lost.result, "pcclRankConnectionLost") << lost.whole;
  const Line alone = survivors[0]->ask("reduce tag=7 inplace=1 type=10 op=0 count=9000");
  EXPECT_EQ(alone.result, "pcclTooFewPeers") << alone.whole;
  EXPECT_TRUE(survivors[0]->ask("update").ok());
}

TEST(Deaths, DuringUpdateTopology) {
  LiveRun run;
  auto peers = run.join(4);
  // Before it has called, while the others wait for its vote.
  for (std::size_t i = 0; i < 3; ++i) peers[i]->say("update");
  peers[3]->kill();
  peers.pop_back();
  expect_all(answers(peers), "pcclSuccess");
  for (const Line& line : ask_all(peers, "sizes"))
    EXPECT_EQ(line.number("world"), 3U) << line.whole;
  // After it has called: its vote goes with it, unless all have voted before the master sees its
  // death; then that is found out by the next all-reduce.
  peers[2]->say("update");
  peers[0]->say("update");
  peers[2]->kill();
  peers.pop_back();
  expect_all({peers[1]->ask("update")}, "pcclSuccess");
  expect_all({peers[0]->answer()}, "pcclSuccess");
  const std::string reduce = "reduce tag=7 type=10 op=0 count=9000 seed=4";
  std::vector<Line> lines = ask_all(peers, reduce);
  EXPECT_EQ(lines[0].result, lines[1].result) << lines[0].whole << lines[1].whole;
  if (lines[0].result == "pcclRankConnectionLost") lines = ask_all(peers, reduce);
  expect_all(lines, "pcclSuccess");
  for (const Line& line : ask_all(peers, "sizes"))
    EXPECT_EQ(line.number("world"), 2U) << line.whole;
}

TEST(Deaths, OfNewcomersInTheMiddleOfTheirJoin) {
  LiveRun run;
  auto peers = run.join(3);
  for (Peer* peer : peers) peer->say("loop pump count=20000");
  for (Peer* peer : peers) peer->event("ok");
  std::mt19937 random(4711);
  for (int kill = 0; kill < 15; ++kill) {
    Peer& newcomer = run.start();
    newcomer.say("connect");
    newcomer.say("loop pump count=20000");
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 6000));  // when it happens
    newcomer.kill();
    for (Peer* peer : peers) peer->wait_for_progress();
  }
  for (const Line& line : stop_loop(peers)) EXPECT_EQ(line.number("world"), 3U) << line.whole;
}

}  // namespace
}  // namespace e2e
