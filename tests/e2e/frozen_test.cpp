// Processes that stop without dying: a frozen peer, a frozen master, a dead peer's forked child
// that still holds its memory.
#include <signal.h>

#include <algorithm>
#include <cstdio>
#include <thread>

#include "e2e/run.hpp"

namespace e2e {
namespace {

constexpr double peer_timeout_s = 1.0 * slack;

double seconds_between(std::uint64_t from, std::uint64_t to) {
  return static_cast<double>(to - from) * 1e-9;
}

// SIGSTOP in a loop of all-reduces: a kernel that acknowledges, and nobody behind it.
void freeze_and_thaw(const std::string& loop) {
  LiveRun run({.peer_timeout_s = peer_timeout_s});
  auto peers = run.join(3);
  for (Peer* peer : peers) peer->say(loop);
  for (Peer* peer : peers) peer->event("ok");
  Peer& frozen = *peers[1];
  const std::vector<Peer*> survivors{peers[0], peers[2]};
  const std::uint64_t stopped = now_ns();
  frozen.signal(SIGSTOP);
  for (Peer* peer : survivors) {
    const Line failed = peer->event_after("failed", stopped);
    EXPECT_NE(failed.text.find("heartbeat"), std::string::npos) << failed.whole;
    const Line ok = peer->event_after("ok", stopped);
    EXPECT_EQ(ok.number("world"), 2U) << ok.whole;
    const double recovered = seconds_between(stopped, ok.number("t"));
    std::printf("frozen peer: success again after %.2f s (peer timeout %.1f s)\n", recovered,
                peer_timeout_s);
    EXPECT_LT(recovered, peer_timeout_s + 1.0 * slack);
  }
  frozen.signal(SIGCONT);
  const Line ended = frozen.answer();
  EXPECT_EQ(ended.result, "pcclInvalidUsage") << ended.whole;
  EXPECT_NE(ended.text.find("heartbeat"), std::string::npos) << ended.whole;
  EXPECT_EQ(ended.number("wrong"), 0U) << ended.whole;

  EXPECT_TRUE(frozen.ask("destroy").ok());
  frozen.create();
  frozen.say("connect");
  frozen.say(loop);
  const Line rejoined = frozen.answer();
  ASSERT_TRUE(rejoined.ok()) << rejoined.whole;
  for (Peer* peer : peers)
    while (peer->event_after("ok", ended.number("t")).number("world") != 3) {
    }
  stop_loop(peers);
}

TEST(Frozen, PeerInARing) {
  freeze_and_thaw("loop pump count=100000");
}
TEST(Frozen, PeerInAStar) {
  freeze_and_thaw("loop pump count=100");
}

// It wakes before anybody has missed it.
TEST(Frozen, PeerForAMomentIsNotMissed) {
  LiveRun run({.peer_timeout_s = 3.0 * slack});
  auto peers = run.join(3);
  for (Peer* peer : peers) peer->say("loop pump count=20000");
  for (Peer* peer : peers) peer->event("ok");
  for (int round = 0; round < 3; ++round) {
    peers[0]->signal(SIGSTOP);
    std::this_thread::sleep_for(std::chrono::milliseconds(200));  // the length of the fault
    peers[0]->signal(SIGCONT);
    for (Peer* peer : peers) peer->wait_for_progress();
  }
  for (const Line& line : stop_loop(peers)) EXPECT_EQ(line.number("failures"), 0U) << line.whole;
}

TEST(Frozen, MasterForASecond) {
  LiveRun run({.peer_timeout_s = 0.4 * slack});
  auto peers = run.join(3);
  for (Peer* peer : peers) peer->say("loop pump count=20000");
  for (Peer* peer : peers) peer->event("ok");
  run.master().signal(SIGSTOP);
  // The length of the fault: longer than the peer timeout, so that a master that believed its own
  // clock would remove everybody.
  std::this_thread::sleep_for(std::chrono::milliseconds(1000) * slack);
  run.master().signal(SIGCONT);
  for (Peer* peer : peers) peer->wait_for_progress();
  for (const Line& line : stop_loop(peers)) {
    EXPECT_EQ(line.number("failures"), 0U) << line.whole;
    EXPECT_EQ(line.number("world"), 3U) << line.whole;
  }
}

// A data loader outlives the peer that forked it: the peer's connections must end with the peer.
TEST(Frozen, ForkedChildOfADeadPeer) {
  LiveRun run({.peer_timeout_s = 60});
  auto peers = run.join(3);
  const auto child = static_cast<pid_t>(peers[2]->ask("fork").number("child"));
  struct Reap {
    pid_t child;
    ~Reap() { ::kill(child, SIGKILL); }
  } reap{child};
  for (const std::string& file : open_files(child))
    EXPECT_FALSE(file.starts_with("socket:")) << "the child holds " << file;
  for (Peer* peer : peers) peer->say("loop pump count=20000");
  for (Peer* peer : peers) peer->event("ok");
  const std::uint64_t killed = now_ns();
  peers[2]->kill();
  peers.pop_back();
  for (Peer* peer : peers) {
    const Line ok = peer->event_after("ok", killed);
    EXPECT_EQ(ok.number("world"), 2U) << ok.whole;
    const double recovered = seconds_between(killed, ok.number("t"));
    std::printf("dead peer with a living child: success again after %.3f s\n", recovered);
    EXPECT_LT(recovered, 10);
  }
  EXPECT_EQ(::kill(child, 0), 0) << "the child is gone, this test has shown nothing";
  stop_loop(peers);
}

}  // namespace
}  // namespace e2e
