// Four peers far from each other and from their master: paths are cut without a word and heal, and
// slow lines are filled to the brim.
#include "e2e/wide_area.hpp"

#include <chrono>
#include <cstdio>
#include <memory>
#include <set>
#include <thread>

#include "e2e/run.hpp"

namespace e2e {
namespace {

constexpr std::size_t size = 4;
constexpr std::size_t masters_host = size + 1;
constexpr double peer_timeout_s = 1.5 * slack;
// To order a new ring, dial and greet, each a few round trips of 40 ms; the rest is the machine's.
constexpr double mending_s = 2.0 * slack;

class WideAreaTest : public testing::Test {
 protected:
  void start(std::vector<std::string> network, double timeout_s = peer_timeout_s) {
    network.insert(network.end(), {"--delay-ms", "20"});
    wan = std::make_unique<WideArea>(masters_host, network);
    run = std::make_unique<LiveRun>(RunOptions{.peer_timeout_s = timeout_s,
                                               .host = WideArea::address(masters_host),
                                               .master_namespace = wan->fd(masters_host)});
    for (std::size_t host = 1; host <= size; ++host)
      peers.push_back(&run->start({.network_namespace = wan->fd(host)}));
    expect_all(ask_all(peers, "join world=4"), "pcclSuccess");
  }
  void SetUp() override {
    const std::string missing = WideArea::missing();
    if (!missing.empty()) GTEST_SKIP() << missing;
  }
  void TearDown() override { run.reset(); }  // before the hosts that it runs on

  void reduce_in_a_loop() {
    for (Peer* peer : peers) peer->say("loop pump count=100000");
    for (Peer* peer : peers) peer->event("ok");
  }
  using Pair = std::pair<std::size_t, std::size_t>;  // of hosts, the lower first
  std::set<Pair> linked() const {
    std::set<Pair> pairs;
    for (std::size_t a = 1; a <= size; ++a)
      for (std::size_t b = a + 1; b <= size; ++b)
        if (connected_to(peers[a - 1]->pid(), WideArea::address(b))) pairs.insert({a, b});
    return pairs;
  }
  void change_path(const std::string& how, const Pair& path) {
    ASSERT_TRUE(wan->control("link " + how + " " + std::to_string(path.first) + " " +
                             std::to_string(path.second)));
  }
  std::size_t times_logged(const std::string& text) {
    const std::string log = run->master().transcript();
    std::size_t count = 0;
    for (std::size_t at = log.find(text); at != std::string::npos; at = log.find(text, at + 1))
      ++count;
    return count;
  }

  std::unique_ptr<WideArea> wan;
  std::unique_ptr<LiveRun> run;
  std::vector<Peer*> peers;
};

TEST_F(WideAreaTest, TheRingGoesAroundACutPathWithAllFour) {
  start({});
  reduce_in_a_loop();
  const auto ring = linked();
  ASSERT_EQ(ring.size(), 4U);
  const Pair path = *ring.begin();
  const std::uint64_t cut = now_ns();
  change_path("down", path);
  const double took = seconds_until_world(peers, 4, cut);
  std::printf("a path of the ring is cut: all four succeed again after %.2f s\n", took);
  EXPECT_LT(took, peer_timeout_s + mending_s);
  EXPECT_FALSE(linked().contains(path));
  change_path("up", path);
  for (Peer* peer : peers) peer->wait_for_progress();
  for (const Line& line : stop_loop(peers)) EXPECT_EQ(line.number("world"), 4U) << line.whole;
  EXPECT_EQ(times_logged("removes"), 0U);
}

TEST_F(WideAreaTest, WhoIsCutOffFromTheMasterGoesAndComesBack) {
  start({});
  reduce_in_a_loop();
  Peer& victim = *peers.back();
  const std::vector<Peer*> others(peers.begin(), peers.end() - 1);
  const std::uint64_t cut = now_ns();
  change_path("down", {size, masters_host});
  const double took = seconds_until_world(others, 3, cut);
  std::printf("one of four is cut off from the master: the others succeed after %.2f s\n", took);
  EXPECT_LT(took, peer_timeout_s + mending_s);
  EXPECT_FALSE(victim.has_answered());
  const std::uint64_t healed = now_ns();
  change_path("up", {size, masters_host});
  const Line ended = victim.answer();
  EXPECT_EQ(ended.result, "pcclInvalidUsage") << ended.whole;
  EXPECT_NE(ended.text.find("heartbeat"), std::string::npos) << ended.whole;
  EXPECT_EQ(ended.number("wrong"), 0U) << ended.whole;
  EXPECT_TRUE(victim.ask("destroy").ok());
  victim.create();
  victim.say("connect");
  victim.say("loop pump count=100000");
  ASSERT_TRUE(victim.answer().ok());
  std::printf("healed: all four succeed again after %.2f s\n",
              seconds_until_world(peers, 4, healed));
  stop_loop(peers);
}

// A few seconds of what benchmarks/wan_false_alarms.py does for half an hour.
TEST_F(WideAreaTest, ASaturatedLineIsNotADeath) {
  start({"--egress-mbit", "20", "--nic-queue-kib", "1220", "--loss", "1%", "--mtu", "1500"},
        3.0 * slack);
  expect_all(ask_all(peers, "state tensors=3 bytes=1000000 seed=1"), "pcclSuccess");
  for (int revision = 1; revision <= 2; ++revision) {
    for (std::size_t i = 0; i < size; ++i) {
      peers[i]->say("loop retry rounds=1 count=200000");
      const bool behind = i % 2 == static_cast<std::size_t>(revision % 2);
      if (behind) peers[i]->say("touch every=4096");
      peers[i]->say("sync revision=" + std::to_string(behind ? 0 : revision));
    }
    for (std::size_t i = 0; i < size; ++i) {
      const Line reduced = peers[i]->answer();
      EXPECT_EQ(reduced.number("failures"), 0U) << reduced.whole;
      EXPECT_EQ(reduced.number("wrong"), 0U) << reduced.whole;
      if (i % 2 == static_cast<std::size_t>(revision % 2)) peers[i]->answer();
      const Line synced = peers[i]->answer();
      EXPECT_TRUE(synced.ok()) << synced.whole;
    }
  }
  EXPECT_EQ(times_logged("removes") + times_logged("reports that its link"), 0U);
}

}  // namespace
}  // namespace e2e
