// Peers that come: all at once, late and under load.
#include <cstdio>
#include <thread>

#include "e2e/raw_client.hpp"
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

// ---- candidates that cannot be reached ----

namespace wire = pccl::wire;
using pccl::Term;

constexpr double peer_timeout_s = 1.0 * slack;

double longest_pause(const std::vector<Line>& lines) {
  double longest = 0;
  for (const Line& line : lines) longest = std::max(longest, line.seconds("longest_pause"));
  return longest;
}

// Registers at the master, where nobody can see that its p2p port is closed.
RawClient register_unreachable(const LiveRun& run, wire::Welcome& welcome, Term& term) {
  RawClient candidate(run.port());
  candidate.send(Term{}, wire::Hello{.p2p_port = free_port()});
  const auto answer = candidate.receive();
  if (!answer) throw std::runtime_error("no welcome");
  welcome = std::get<wire::Welcome>(answer->message);
  term = answer->term;
  return candidate;
}

TEST(Joining, SilentUnreachableCandidateDoesNotHoldUpTheOthers) {
  LiveRun run({.peer_timeout_s = peer_timeout_s});
  auto peers = run.join(3);
  wire::Welcome welcome;
  Term term;
  const RawClient candidate = register_unreachable(run, welcome, term);
  for (Peer* peer : peers) peer->say("loop pump count=20000");
  for (Peer* peer : peers) peer->event("ok");
  Peer& newcomer = run.start();
  const Line joined = newcomer.ask("connect");
  ASSERT_TRUE(joined.ok()) << joined.whole;
  newcomer.say("loop pump count=20000");
  peers.push_back(&newcomer);
  for (Peer* peer : peers)
    while (peer->event("ok").number("world") != 4) {
    }
  const auto lines = stop_loop(peers);
  for (const Line& line : lines) EXPECT_EQ(line.number("failures"), 0U) << line.whole;
  std::printf("silent unreachable candidate: longest pause %.2f s (peer timeout %.1f s)\n",
              longest_pause(lines), peer_timeout_s);
  EXPECT_LT(longest_pause(lines), peer_timeout_s + 1.0 * slack);
}

TEST(Joining, LivingUnreachableCandidateIsToldWhy) {
  LiveRun run({.peer_timeout_s = 20});
  auto peers = run.join(3);
  wire::Welcome welcome;
  Term term;
  RawClient candidate = register_unreachable(run, welcome, term);
  for (Peer* peer : peers) peer->say("loop pump count=20000");
  // It answers the master, and says nothing about its links.
  std::string why;
  const auto deadline = Clock::now() + patience;
  while (why.empty() && Clock::now() < deadline) {
    const auto frame = candidate.receive();
    if (!frame) break;
    if (const auto* removed = std::get_if<wire::Removed>(&frame->message)) why = removed->why;
    if (std::holds_alternative<wire::Heartbeat>(frame->message))
      candidate.send(term, wire::Heartbeat{.probe = true});
  }
  EXPECT_NE(why.find("reach"), std::string::npos) << why;
  for (Peer* peer : peers) peer->wait_for_progress();
  const auto lines = stop_loop(peers);
  for (const Line& line : lines) EXPECT_EQ(line.number("failures"), 0U) << line.whole;
  std::printf("living unreachable candidate: longest pause %.3f s\n", longest_pause(lines));
  EXPECT_LT(longest_pause(lines), 2.0 * slack);
}

}  // namespace
}  // namespace e2e
