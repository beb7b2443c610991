// Four peers, each in a network namespace of its own, that reach each other through a hub: paths
// between two of them are cut without a word, and heal. Needs root and ip(8); skips without.
#include <array>
#include <cstdio>
#include <memory>
#include <set>
#include <thread>

#include "e2e/network_namespace.hpp"
#include "e2e/run.hpp"

namespace e2e {
namespace {

class Mesh : public testing::Test {
 protected:
  static constexpr std::size_t size = 4;

  void SetUp() override {
    hub = std::make_unique<Namespace>();
    bool works = hub->works() && hub->run("sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'");
    for (std::size_t i = 0; works && i < size; ++i) {
      home[i] = std::make_unique<Namespace>();
      works = home[i]->works() && connect(i);
    }
    if (!works) GTEST_SKIP() << "needs root, ip(8), nsenter(1) and virtual Ethernet pairs";
  }
  static std::string net(std::size_t i) { return "10.78." + std::to_string(i + 1); }
  bool connect(std::size_t i) {
    const std::string link = "hub" + std::to_string(i);
    return hub->ip("link add " + link + " type veth peer name eth netns " +
                   std::to_string(home[i]->keeper())) &&
           hub->ip("addr add " + net(i) + ".1/24 dev " + link) &&
           hub->ip("link set " + link + " up") &&
           home[i]->ip("addr add " + net(i) + ".2/24 dev eth") && home[i]->ip("link set eth up") &&
           home[i]->ip("route add default via " + net(i) + ".1");
  }

  using Pair = std::pair<std::size_t, std::size_t>;
  void change_rules(const std::string& how, const Pair& pair) {
    for (const auto& [from, to] : {pair, Pair{pair.second, pair.first}})
      ASSERT_TRUE(
          hub->ip("rule " + how + " from " + net(from) + ".2 to " + net(to) + ".2 blackhole"));
  }
  void cut(const Pair& pair) { change_rules("add", pair); }
  void heal(const Pair& pair) { change_rules("del", pair); }

  // Starts a run in which `count` peers reduce in a loop.
  void start(double peer_timeout, std::size_t count) {
    peer_timeout_s = peer_timeout;
    run = std::make_unique<LiveRun>(RunOptions{
        .peer_timeout_s = peer_timeout_s, .host = net(0) + ".1", .master_namespace = hub->fd()});
    for (std::size_t i = 0; i < count; ++i)
      peers.push_back(&run->start({.network_namespace = home[i]->fd()}));
    expect_all(ask_all(peers, "join world=" + std::to_string(count)), "pcclSuccess");
    for (Peer* peer : peers) peer->say("loop pump count=100000");
    for (Peer* peer : peers) peer->event("ok");
  }
  void TearDown() override { run.reset(); }

  // Of the ring: who has a connection to whom, as the kernel sees it.
  std::set<Pair> linked() const {
    std::set<Pair> pairs;
    for (std::size_t i = 0; i < peers.size(); ++i)
      for (std::size_t j = i + 1; j < peers.size(); ++j)
        if (connected_to(peers[i]->pid(), net(j) + ".2")) pairs.insert({i, j});
    return pairs;
  }
  // All of them succeed again, in a ring of so many.
  double recovered(const std::vector<Peer*>& who, std::uint64_t cut_at, const char* what) {
    const double longest = seconds_until_world(who, who.size(), cut_at);
    std::printf("%s: all %zu succeed again after %.2f s (peer timeout %.1f s)\n", what, who.size(),
                longest, peer_timeout_s);
    return longest;
  }

  double peer_timeout_s = 0;
  std::unique_ptr<Namespace> hub;
  std::array<std::unique_ptr<Namespace>, size> home;
  std::unique_ptr<LiveRun> run;
  std::vector<Peer*> peers;
};

TEST_F(Mesh, OneLinkOfFourIsCutAndHeals) {
  start(3.0 * slack, 4);
  const auto ring = linked();
  ASSERT_EQ(ring.size(), 4U);
  const Pair first = *ring.begin();
  std::uint64_t at = now_ns();
  cut(first);
  EXPECT_LT(recovered(peers, at, "one link of four is cut"), peer_timeout_s + 2.0 * slack);
  EXPECT_FALSE(linked().contains(first));
  heal(first);
  for (Peer* peer : peers) peer->wait_for_progress();
  for (const Line& line : stop_loop(peers)) EXPECT_EQ(line.number("world"), 4U) << line.whole;
}

// Any other link of the ring around it is needed, unless the first is trusted again.
TEST_F(Mesh, AHealedPathIsUsedAgainWhereThereIsNoOtherRing) {
  start(0.5 * slack, 4);
  const Pair first = *linked().begin();
  std::uint64_t at = now_ns();
  cut(first);
  recovered(peers, at, "the first cut");
  heal(first);
  const auto cool_down = std::chrono::duration<double>(10.5 * peer_timeout_s);
  std::this_thread::sleep_for(cool_down);
  const auto ring = linked();
  ASSERT_FALSE(ring.contains(first));
  at = now_ns();
  cut(*ring.begin());
  EXPECT_LT(recovered(peers, at, "the second cut, the first has healed"),
            peer_timeout_s + 2.0 * slack);
  EXPECT_TRUE(linked().contains(first));
  for (const Line& line : stop_loop(peers)) EXPECT_EQ(line.number("world"), 4U) << line.whole;
}

TEST_F(Mesh, WithoutARingOneGoesAndComesBackOnceItIsHealed) {
  start(1.0 * slack, 3);
  const Pair pair{0, 1};
  const std::uint64_t at = now_ns();
  cut(pair);
  std::vector<Peer*> ends{peers[0], peers[1]};
  while (!ends[0]->has_answered() && !ends[1]->has_answered()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    ASSERT_LT(static_cast<double>(now_ns() - at) * 1e-9, 10.0 * slack);
  }
  if (!ends[0]->has_answered()) std::swap(ends[0], ends[1]);
  Peer& removed = *ends[0];
  const Line ended = removed.answer();
  EXPECT_NE(ended.text.find("no ring avoids the broken paths"), std::string::npos) << ended.whole;
  EXPECT_LT(recovered({ends[1], peers[2]}, at, "one path of three is cut, the others"),
            peer_timeout_s + 2.0 * slack);
  const std::uint64_t healed_at = now_ns();
  heal(pair);
  EXPECT_TRUE(removed.ask("destroy").ok());
  removed.create();
  removed.say("connect");
  removed.say("loop pump count=100000");
  ASSERT_TRUE(removed.answer().ok());
  recovered(peers, healed_at, "healed and joined again");
  stop_loop(peers);
}

// Two and two that reach the master but not each other. The master learns of a path only where a
// ring uses it: now and then it has to choose before it can know all of them, and one more has to
// go. Whoever is left goes on, and the others are told why.
TEST_F(Mesh, TornInTwoHalvesOneHalfGoesOn) {
  start(1.0 * slack, 4);
  const std::uint64_t at = now_ns();
  for (const Pair& pair : {Pair{0, 2}, Pair{0, 3}, Pair{1, 2}, Pair{1, 3}}) cut(pair);
  const std::set<Peer*> halves[] = {{peers[0], peers[1]}, {peers[2], peers[3]}};
  std::vector<Peer*> left = peers;
  const auto of_one_half = [&] {
    return std::any_of(std::begin(halves), std::end(halves), [&](const auto& half) {
      return std::all_of(left.begin(), left.end(), [&](Peer* peer) { return half.contains(peer); });
    });
  };
  while (!of_one_half()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    ASSERT_LT(static_cast<double>(now_ns() - at) * 1e-9, 20.0 * slack);
    std::erase_if(left, [](Peer* peer) { return peer->has_answered(); });
  }
  ASSERT_FALSE(left.empty());
  for (Peer* peer : peers) {
    if (std::find(left.begin(), left.end(), peer) != left.end()) continue;
    const Line ended = peer->answer();
    EXPECT_NE(ended.text.find("no ring avoids the broken paths"), std::string::npos) << ended.whole;
  }
  if (left.size() > 1) recovered(left, at, "torn in two halves, one of them");
  stop_loop(left);  // one alone has nobody to reduce with
}

}  // namespace
}  // namespace e2e
