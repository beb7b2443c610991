// The master is killed and started again under a run of real processes: the run goes on.
#include <signal.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <random>
#include <thread>

#include "e2e/run.hpp"

namespace e2e {
namespace {

using namespace std::chrono_literals;

// From the moment when the new master listens until an all-reduce has ended at every peer.
double outage(const std::vector<Peer*>& peers) {
  const std::uint64_t restarted = now_ns();
  std::vector<std::uint64_t> before;
  for (Peer* peer : peers) before.push_back(peer->rounds());
  for (std::size_t i = 0; i < peers.size(); ++i)
    while (peers[i]->rounds() == before[i])
      if (static_cast<double>(now_ns() - restarted) > 30e9 * slack)
        throw std::runtime_error(peers[i]->name() + " does not go on");
  return static_cast<double>(now_ns() - restarted) * 1e-9;
}

// kill -9 at a moment that nothing chooses; away for nothing, or for a while.
void kill_the_master(const std::string& loop, int kills, RunOptions options = {}) {
  LiveRun run(std::move(options));
  const auto peers = run.join(4);
  for (Peer* peer : peers) peer->say(loop);
  for (Peer* peer : peers) peer->event("ok");
  std::mt19937 random(4711);
  std::vector<double> outages;
  for (int kill = 0; kill < kills; ++kill) {
    std::this_thread::sleep_for(
        std::chrono::microseconds(random() % 50'000));  // not to synchronise
    run.master().kill();
    if (kill % 2 == 1) std::this_thread::sleep_for(std::chrono::milliseconds(random() % 700));
    run.start_master();
    outages.push_back(outage(peers));
  }
  for (const Line& line : stop_loop(peers)) {
    EXPECT_EQ(line.number("world"), 4U) << line.whole;
    EXPECT_EQ(line.number("failures"), 0U) << line.whole;
  }
  std::sort(outages.begin(), outages.end());
  std::printf("%d kills, outage after the restart: median %.3f s, longest %.3f s\n", kills,
              outages[outages.size() / 2], outages.back());
  EXPECT_LT(outages[outages.size() / 2], 1.0 * slack);
}

TEST(Restart, UnderPlainCalls) {
  kill_the_master("loop pump count=100000", 8);
}
TEST(Restart, UnderTinyCalls) {
  kill_the_master("loop pump count=100", 8);
}
TEST(Restart, UnderSeveralAtOnce) {
  kill_the_master("loop pump retry tensors=8 count=20000", 6);
}
TEST(Restart, UnderLargeCalls) {
  kill_the_master("loop count=1000000", 6);
}

struct TemporaryFolder {
  TemporaryFolder() {
    if (::mkdtemp(path.data()) == nullptr) throw std::runtime_error("no temporary folder");
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string path = std::filesystem::temp_directory_path() / "pccl-restart-XXXXXX";
};

// With a file that says whom to wait for.
TEST(Restart, WithAStateFile) {
  const TemporaryFolder folder;
  const std::string file = folder.path + "/state";
  kill_the_master("loop pump count=20000", 6, {.master_arguments = {"--state-file", file}});
  EXPECT_GT(std::filesystem::file_size(file), 0U);
  EXPECT_FALSE(std::filesystem::exists(file + ".new"));
}

// At moments all over a sync: before it is elected, while blocks travel, when some have the result.
TEST(Restart, DuringASync) {
  LiveRun run;
  const auto peers = run.join(4);
  const std::string state = " tensors=4 bytes=4000000";
  for (Peer* peer : peers)
    ASSERT_TRUE(peer->ask("state seed=" + std::to_string(peer == peers[3] ? 2 : 1) + state).ok());
  std::mt19937 random(4711);
  for (int kill = 0; kill < 8; ++kill) {
    // All but the last agree; it fetches everything anew each time.
    ASSERT_TRUE(peers[3]->ask("state seed=" + std::to_string(10 + kill) + state).ok());
    for (Peer* peer : peers)
      peer->say("sync revision=" + std::to_string(peer == peers[3] ? 0 : kill + 1));
    std::this_thread::sleep_for(
        std::chrono::microseconds(random() % 40'000));  // not to synchronise
    run.master().kill();
    run.start_master();
    const std::vector<Line> lines = answers(peers);
    for (const Line& line : lines) {
      EXPECT_TRUE(line.ok()) << line.whole;
      EXPECT_EQ(line.number("digest"), lines[0].number("digest")) << line.whole;
      EXPECT_EQ(line.number("revision"), static_cast<std::uint64_t>(kill + 1)) << line.whole;
    }
  }
}

TEST(Restart, NewcomersAndDeathsMeanwhile) {
  LiveRun run({.peer_timeout_s = 1.0 * slack});
  auto peers = run.join(3);
  for (Peer* peer : peers) peer->say("loop pump count=20000");
  for (Peer* peer : peers) peer->event("ok");
  // One that has said hello to the master that dies, and one that meets the new one first.
  Peer& pending = run.start();
  pending.say("connect");
  pending.say("loop pump count=20000");
  run.master().kill();
  peers[1]->kill();
  std::this_thread::sleep_for(300ms * slack);
  run.start_master();
  Peer& late = run.start();
  late.say("connect");
  late.say("loop pump count=20000");
  peers.erase(peers.begin() + 1);
  ASSERT_TRUE(late.answer().ok());
  peers.push_back(&late);
  const Line connected = pending.answer();
  if (connected.ok()) {
    peers.push_back(&pending);
  } else {  // it found nobody at the address, as the kernel timed it
    EXPECT_EQ(connected.result, "pcclMasterConnectionFailed") << connected.whole;
    EXPECT_EQ(pending.answer().result, "pcclInvalidUsage");
  }
  for (Peer* peer : peers) peer->wait_for_progress();
  for (const Line& line : stop_loop(peers))
    EXPECT_EQ(line.number("world"), peers.size()) << line.whole;
}

TEST(Restart, AMasterThatHangsIsNotAway) {
  LiveRun run({.peer_timeout_s = 0.5 * slack});
  const auto peers = run.join(3);
  for (Peer* peer : peers) peer->say("loop count=20000");
  for (Peer* peer : peers) peer->event("ok");
  run.master().signal(SIGSTOP);
  std::this_thread::sleep_for(2s * slack);
  run.master().signal(SIGCONT);
  for (Peer* peer : peers) peer->wait_for_progress();
  for (const Line& line : stop_loop(peers)) {
    EXPECT_EQ(line.number("world"), 3U) << line.whole;
    EXPECT_EQ(line.number("failures"), 0U) << line.whole;
  }
}

TEST(Restart, OfAMasterThatStaysAwayTooLong) {
  LiveRun run({.master_timeout_s = 2.0 * slack});
  const auto peers = run.join(3);
  peers[0]->say("update");
  peers[1]->say("pending");
  EXPECT_TRUE(peers[2]->ask("launch tag=1 count=9000 type=10 op=0 inplace=1").ok());
  std::this_thread::sleep_for(100ms);
  const std::uint64_t killed = now_ns();
  run.master().kill();
  const std::vector<std::string> results{"pcclUpdateTopologyFailed", "pcclInvalidUsage"};
  for (std::size_t i = 0; i < 2; ++i) {
    const Line line = peers[i]->answer();
    EXPECT_EQ(line.result, results[i]) << line.whole;
    EXPECT_NE(line.text.find("the master has been away for"), std::string::npos) << line.whole;
    EXPECT_GE(static_cast<double>(line.number("t") - killed) * 1e-9, 2.0 * slack) << line.whole;
    EXPECT_LT(static_cast<double>(line.number("t") - killed) * 1e-9, 4.0 * slack) << line.whole;
  }
  const Line awaited = peers[2]->ask("await tag=1");
  EXPECT_EQ(awaited.result, "pcclRankConnectionLost") << awaited.whole;
  EXPECT_EQ(awaited.number("intact"), 1U) << awaited.whole;
  // It comes back too late: a new run begins.
  run.start_master();
  for (Peer* peer : peers) {
    EXPECT_EQ(peer->ask("pending").result, "pcclInvalidUsage");
    EXPECT_TRUE(peer->ask("destroy").ok());
    peer->create();
  }
  expect_all(ask_all(peers, "join world=3"), "pcclSuccess");
}

}  // namespace
}  // namespace e2e
