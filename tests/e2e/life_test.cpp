// The life of a communicator: failing to connect and trying again, being destroyed in the middle.
#include <netinet/in.h>
#include <pccl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <set>

#include "e2e/run.hpp"

namespace e2e {
namespace {

TEST(Life, ConnectsAgainOnceTheMasterIsThere) {
  LiveRun run;
  run.master().kill();
  Peer& peer = run.start();
  for (int attempt = 0; attempt < 3; ++attempt) {
    const Line refused = peer.ask("connect");
    EXPECT_EQ(refused.result, "pcclMasterConnectionFailed") << refused.whole;
    EXPECT_NE(refused.text, "");
  }
  EXPECT_EQ(peer.ask("update").result, "pcclInvalidUsage");
  run.start_master();
  const Line connected = peer.ask("connect");
  EXPECT_TRUE(connected.ok()) << connected.whole;
  EXPECT_EQ(peer.ask("connect").result, "pcclInvalidUsage");
  const Line sizes = peer.ask("sizes");
  for (const char* size : {"global", "world", "groups", "largest"})
    EXPECT_EQ(sizes.number(size), 1U);
}

TEST(Life, ConnectGivesUpAfterItsTimeout) {
  LiveRun run;
  const auto peers = run.join(1);
  const std::string timeout = std::to_string(slack);
  Peer& candidate = run.start({.environment = {{"PCCL_CONNECT_TIMEOUT", timeout}}});
  const Line given_up = candidate.ask("connect");
  EXPECT_EQ(given_up.result, "pcclMasterConnectionFailed") << given_up.whole;
  EXPECT_NE(given_up.text.find("not admitted within"), std::string::npos) << given_up.whole;
  EXPECT_GE(given_up.seconds("took"), 0.95 * slack);
  EXPECT_LT(given_up.seconds("took"), 3.0 * slack);
  EXPECT_EQ(peers[0]->ask("pending").number("pending"), 0U);
  peers[0]->say("join admit world=2");
  const Line connected = candidate.ask("connect");
  EXPECT_TRUE(connected.ok()) << connected.whole;
  EXPECT_TRUE(peers[0]->answer().ok());
}

TEST(Life, DestroyedByAnotherThreadWhileInConnect) {
  LiveRun run;
  const auto peers = run.join(2);
  Peer& candidate = run.start();
  candidate.say("connect");
  wait_until_pending(peers);
  candidate.say("now destroy");
  const Line connect = candidate.answer();
  EXPECT_EQ(connect.result, "pcclMasterConnectionFailed") << connect.whole;
  const Line destroyed = candidate.wait_for(
      "its destruction", [](const Line& line) { return line.name == "now-destroy"; });
  EXPECT_TRUE(destroyed.ok()) << destroyed.whole;
  for (const Line& line : ask_all(peers, "update")) EXPECT_TRUE(line.ok()) << line.whole;
  for (const Line& line : ask_all(peers, "sizes")) EXPECT_EQ(line.number("global"), 2U);
  candidate.create();
  candidate.say("connect");
  wait_until_pending(peers);
  expect_all(ask_all(peers, "update"), "pcclSuccess");
  EXPECT_TRUE(candidate.answer().ok());
}

// The loop thread is about to run a timer when its communicator goes: connect gives up when the
// first heartbeat is due.
TEST(Life, GivesUpWhenAHeartbeatIsDue) {
  LiveRun run({.peer_timeout_s = 0.12 * slack});
  run.join(1);
  Peer& candidate =
      run.start({.environment = {{"PCCL_CONNECT_TIMEOUT", std::to_string(0.02 * slack)}}});
  EXPECT_TRUE(candidate.ask("destroy").ok());
  const Line churned =
      candidate.ask("churn count=100 host=127.0.0.1 port=" + std::to_string(run.port()));
  EXPECT_EQ(churned.result, "pcclMasterConnectionFailed") << churned.whole;
}

TEST(Life, DestroyedWithRunningOps) {
  LiveRun run;
  const auto peers = run.join(3);
  for (int tag = 0; tag < 20; ++tag)
    for (std::size_t i = 0; i < 3; ++i) {
      // The last peer never calls the odd ones.
      if (i == 2 && tag % 2 == 1) continue;
      EXPECT_TRUE(peers[i]
                      ->ask("launch inplace=1 type=10 op=0 count=" +
                            std::to_string(tag % 3 == 0 ? 100 : 200'000) +
                            " tag=" + std::to_string(tag))
                      .ok());
    }
  const Line destroyed = peers[0]->ask("destroy");
  EXPECT_TRUE(destroyed.ok()) << destroyed.whole;
  EXPECT_LT(destroyed.seconds("took"), 2.0 * slack);
  for (int tag = 0; tag < 20; ++tag) {
    std::string outcome;
    for (std::size_t i = 1; i < 3; ++i) {
      if (i == 2 && tag % 2 == 1) continue;
      const Line line = peers[i]->ask("await tag=" + std::to_string(tag));
      EXPECT_EQ(line.number(line.ok() ? "right" : "intact"), 1U) << line.whole;
      if (tag % 2 == 1) outcome = "pcclRankConnectionLost";
      if (outcome.empty()) outcome = line.result;
      EXPECT_EQ(line.result, outcome) << line.whole;
    }
  }
  const std::vector<Peer*> rest{peers[1], peers[2]};
  expect_all(ask_all(rest, "update"), "pcclSuccess");
  for (const Line& line : ask_all(rest, "reduce tag=1 count=9000 type=10 op=0 seed=3"))
    EXPECT_EQ(line.number("world"), 2U) << line.whole;
}

TEST(Life, OverIpv6) {
  const int probe = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in6 loopback{};
  loopback.sin6_family = AF_INET6;
  loopback.sin6_addr = in6addr_loopback;
  const bool there = ::bind(probe, reinterpret_cast<sockaddr*>(&loopback), sizeof loopback) == 0;
  ::close(probe);
  if (!there) GTEST_SKIP() << "this machine has no ::1";
  LiveRun run({.v6 = true});
  const auto peers = run.join(3);
  for (const std::size_t count : {10, 100'000})
    for (const Line& line :
         ask_all(peers, "reduce tag=1 type=10 op=0 seed=1 count=" + std::to_string(count)))
      EXPECT_TRUE(line.ok() && line.number("right") == 1) << line.whole;
}

TEST(Life, EachPeerTakesTheNextFreePort) {
  LiveRun run;
  const auto peers = run.join(3);
  std::set<std::uint16_t> ports;
  for (Peer* peer : peers) ports.insert(peer->p2p_port());
  EXPECT_EQ(ports.size(), 3U);
  EXPECT_GE(*ports.begin(), 48150);
}

// ---- the master's end
// ------------------------------------------------------------------------------

TEST(Life, MasterKilled) {
  LiveRun run({.master_timeout_s = 1.0 * slack});
  const auto peers = run.join(4);
  Peer& candidate = run.start();
  candidate.say("connect");
  wait_until_pending(peers);
  peers[0]->say("update");
  peers[1]->say("pending");
  peers[2]->say("reduce tag=1 count=9000 type=10 op=0 inplace=1");
  EXPECT_TRUE(peers[3]->ask("launch tag=1 count=9000 type=10 op=0 inplace=1").ok());
  run.master().kill();
  const std::vector<std::string> results{"pcclUpdateTopologyFailed", "pcclInvalidUsage",
                                         "pcclRankConnectionLost"};
  for (std::size_t i = 0; i < 3; ++i) {
    const Line line = peers[i]->answer();
    // The reduce may reach its peer only after the news of the master's death: then it is refused.
    const bool refused = i == 2 && line.result == "pcclInvalidUsage";
    EXPECT_TRUE(line.result == results[i] || refused) << line.whole;
    EXPECT_NE(line.text.find("master"), std::string::npos) << line.whole;
  }
  const Line awaited = peers[3]->ask("await tag=1");
  EXPECT_EQ(awaited.result, "pcclRankConnectionLost") << awaited.whole;
  EXPECT_EQ(awaited.number("intact"), 1U) << awaited.whole;
  EXPECT_EQ(candidate.answer().result, "pcclMasterConnectionFailed");
  for (const Line& line : ask_all(peers, "update"))
    EXPECT_EQ(line.result, "pcclUpdateTopologyFailed") << line.whole;
  for (const char* call : {"pending", "reduce tag=1 count=1 type=10 op=0", "connect"})
    for (const Line& line : ask_all(peers, call)) {
      EXPECT_EQ(line.result, "pcclInvalidUsage") << line.whole;
      EXPECT_NE(line.text, "") << line.whole;
    }
  // A new communicator starts a new run at a new master; so does the candidate's old one.
  run.start_master();
  for (Peer* peer : peers) {
    EXPECT_TRUE(peer->ask("destroy").ok());
    peer->create();
  }
  std::vector<Peer*> all = peers;
  all.push_back(&candidate);
  expect_all(ask_all(all, "join world=5"), "pcclSuccess");
}

}  // namespace
}  // namespace e2e
