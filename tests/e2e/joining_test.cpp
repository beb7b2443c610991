// Peers that come: all at once, late and under load.
#include "e2e/run.hpp"

namespace e2e {
namespace {

TEST(Joining, ThreeAtTheSameInstant) {
  for (int round = 0; round < 10; ++round) {
    LiveRun run;
    run.join(3);
    if (HasFailure()) return;
  }
}

TEST(Joining, LateUnderLoad) {
  LiveRun run;
  auto peers = run.join(2);
  for (Peer* peer : peers) peer->say("loop pump count=20000");
  for (Peer* peer : peers) EXPECT_EQ(peer->event("ok").number("world"), 2U);
  for (std::size_t world = 3; world <= 5; ++world) {
    Peer& newcomer = run.start();
    const Line joined = newcomer.ask("connect");
    ASSERT_TRUE(joined.ok()) << joined.whole;
    EXPECT_EQ(newcomer.ask("sizes").number("world"), world);
    newcomer.say("loop pump count=20000");
    peers.push_back(&newcomer);
    for (Peer* peer : peers)
      while (peer->event("ok").number("world") != world) {
      }
  }
  for (const Line& line : stop_loop(peers)) EXPECT_EQ(line.number("failures"), 0U) << line.whole;
}

TEST(Joining, SeveralAtOnceUnderLoad) {
  LiveRun run;
  auto peers = run.join(2);
  for (Peer* peer : peers) peer->say("loop pump count=20000");
  for (Peer* peer : peers) peer->event("ok");
  for (int i = 0; i < 4; ++i) peers.push_back(&run.start());
  for (std::size_t i = 2; i < peers.size(); ++i) {
    peers[i]->say("connect");
    peers[i]->say("loop pump count=20000");
  }
  for (std::size_t i = 2; i < peers.size(); ++i) {
    const Line joined = peers[i]->answer();
    ASSERT_TRUE(joined.ok()) << joined.whole;
  }
  for (Peer* peer : peers)
    while (peer->event("ok").number("world") != 6) {
    }
  for (const Line& line : stop_loop(peers)) EXPECT_EQ(line.number("failures"), 0U) << line.whole;
}

}  // namespace
}  // namespace e2e
