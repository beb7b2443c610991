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

}  // namespace
}  // namespace e2e
