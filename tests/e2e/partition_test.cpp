// Traffic that is dropped without a word, between network namespaces of this machine. Needs root
// and ip(8); skips without.
#include <cstdio>
#include <memory>

#include "e2e/network_namespace.hpp"
#include "e2e/run.hpp"

namespace e2e {
namespace {

constexpr double peer_timeout_s = 1.0 * slack;

// A hub, where the master lives, and two others that reach each other through it.
class Dropped : public testing::Test {
 protected:
  void SetUp() override {
    hub = std::make_unique<Namespace>();
    for (auto& one : other) one = std::make_unique<Namespace>();
    bool works = hub->works() && hub->run("sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'");
    for (int i = 0; works && i < 2; ++i) works = connect(i);
    if (!works) GTEST_SKIP() << "needs root, ip(8), nsenter(1) and virtual Ethernet pairs";
  }
  bool connect(int i) {
    const std::string net = "10.77." + std::to_string(i + 1), link = "hub" + std::to_string(i);
    return other[i]->works() &&
           hub->ip("link add " + link + " type veth peer name eth netns " +
                   std::to_string(other[i]->keeper())) &&
           hub->ip("addr add " + net + ".1/24 dev " + link) &&
           hub->ip("link set " + link + " up") &&
           other[i]->ip("addr add " + net + ".2/24 dev eth") && other[i]->ip("link set eth up") &&
           other[i]->ip("route add default via " + net + ".1");
  }
  // Frames to an address that no card has: nobody sees an error, nothing arrives, in neither
  // direction.
  void cut_off(int i) {
    const std::string net = "10.77." + std::to_string(i + 1), link = "hub" + std::to_string(i);
    const std::string nowhere = " lladdr 02:00:00:00:00:99 nud permanent dev ";
    ASSERT_TRUE(hub->ip("neigh replace " + net + ".2" + nowhere + link));
    ASSERT_TRUE(other[i]->ip("neigh replace " + net + ".1" + nowhere + "eth"));
  }
  void heal(int i) {
    const std::string net = "10.77." + std::to_string(i + 1), link = "hub" + std::to_string(i);
    ASSERT_TRUE(hub->ip("neigh del " + net + ".2 dev " + link));
    ASSERT_TRUE(other[i]->ip("neigh del " + net + ".1 dev eth"));
  }
  // Only what the two others say to each other.
  void cut_between() { change_rules("add"); }
  void heal_between() { change_rules("del"); }
  void change_rules(const std::string& how) {
    for (const char* path : {" from 10.77.1.2 to 10.77.2.2", " from 10.77.2.2 to 10.77.1.2"})
      ASSERT_TRUE(hub->ip("rule " + how + path + " blackhole"));
  }

  std::unique_ptr<Namespace> hub;
  std::unique_ptr<Namespace> other[2];
};

void recovered_in_time(const std::vector<Peer*>& peers, std::uint64_t cut, std::size_t world,
                       const char* what) {
  for (Peer* peer : peers) {
    Line ok = peer->event_after("ok", cut);
    while (ok.number("world") != world) ok = peer->event_after("ok", cut);
    const double recovered = static_cast<double>(ok.number("t") - cut) * 1e-9;
    std::printf("%s: %s succeeds again after %.2f s (peer timeout %.1f s)\n", what,
                peer->name().c_str(), recovered, peer_timeout_s);
    EXPECT_LT(recovered, peer_timeout_s + 1.0 * slack);
  }
}

TEST_F(Dropped, ThePeerIsCutOffFromAll) {
  LiveRun run(
      {.peer_timeout_s = peer_timeout_s, .host = "10.77.1.1", .master_namespace = hub->fd()});
  std::vector<Peer*> peers;
  for (int i = 0; i < 2; ++i) peers.push_back(&run.start({.network_namespace = hub->fd()}));
  Peer& victim = run.start({.network_namespace = other[0]->fd()});
  peers.push_back(&victim);
  expect_all(ask_all(peers, "join world=3"), "pcclSuccess");
  for (Peer* peer : peers) peer->say("loop pump count=100000");
  for (Peer* peer : peers) peer->event("ok");
  const std::uint64_t cut = now_ns();
  cut_off(0);
  recovered_in_time({peers[0], peers[1]}, cut, 2, "cut off from all");
  EXPECT_FALSE(victim.has_answered());
  heal(0);
  const Line ended = victim.answer();
  EXPECT_EQ(ended.result, "pcclInvalidUsage") << ended.whole;
  EXPECT_NE(ended.text.find("heartbeat"), std::string::npos) << ended.whole;
  EXPECT_EQ(ended.number("wrong"), 0U) << ended.whole;
  EXPECT_TRUE(victim.ask("destroy").ok());
  victim.create();
  victim.say("connect");
  victim.say("loop pump count=100000");
  ASSERT_TRUE(victim.answer().ok());
  for (Peer* peer : peers)
    while (peer->event_after("ok", cut).number("world") != 3) {
    }
  stop_loop(peers);
}

TEST_F(Dropped, TheMasterIsSilentForAPeer) {
  LiveRun run({.peer_timeout_s = peer_timeout_s,
               .master_timeout_s = 2.0 * slack,
               .host = "10.77.1.1",
               .master_namespace = hub->fd()});
  std::vector<Peer*> peers;
  for (int i = 0; i < 2; ++i) peers.push_back(&run.start({.network_namespace = hub->fd()}));
  Peer& victim = run.start({.network_namespace = other[0]->fd()});
  peers.push_back(&victim);
  expect_all(ask_all(peers, "join world=3"), "pcclSuccess");
  victim.say("update");
  const std::uint64_t cut = now_ns();
  cut_off(0);
  const Line failed = victim.answer();
  EXPECT_EQ(failed.result, "pcclUpdateTopologyFailed") << failed.whole;
  EXPECT_NE(failed.text.find("master"), std::string::npos) << failed.whole;
  EXPECT_LT(failed.seconds("t") - static_cast<double>(cut) * 1e-9, 5.0 * slack);
}

// Both are alive and the master knows it: the ring goes around the path, nobody is removed.
TEST_F(Dropped, OnlyThePathBetweenTwoPeers) {
  bool mattered = false;
  // The ring is in the order of the peers' random names: two times out of three it uses the path.
  for (int attempt = 0; attempt < 10 && !mattered; ++attempt) {
    LiveRun run(
        {.peer_timeout_s = peer_timeout_s, .host = "10.77.1.1", .master_namespace = hub->fd()});
    std::vector<Peer*> peers;
    for (int i = 0; i < 2; ++i) peers.push_back(&run.start({.network_namespace = hub->fd()}));
    for (int i = 0; i < 2; ++i) peers.push_back(&run.start({.network_namespace = other[i]->fd()}));
    expect_all(ask_all(peers, "join world=4"), "pcclSuccess");
    for (Peer* peer : peers) peer->say("loop pump count=100000");
    for (Peer* peer : peers) peer->event("ok");
    cut_between();
    for (Peer* peer : peers) peer->wait_for_progress();
    const auto lines = stop_loop(peers);
    heal_between();
    for (const Line& line : lines) {
      EXPECT_EQ(line.number("world"), 4U) << line.whole;
      if (line.number("failures") == 0) continue;
      mattered = true;
      const double pause = line.seconds("longest_pause");
      std::printf("path between two peers: success again after %.2f s (peer timeout %.1f s)\n",
                  pause, peer_timeout_s);
      EXPECT_LT(pause, peer_timeout_s + 1.0 * slack) << "once to notice, then around the path";
    }
  }
  EXPECT_TRUE(mattered) << "the ring has never used the path";
}

}  // namespace
}  // namespace e2e
