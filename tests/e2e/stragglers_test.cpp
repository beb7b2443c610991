// Who holds the others up is named, and removed where the master is told to.
#include <signal.h>

#include <cstdio>
#include <thread>

#include "e2e/run.hpp"

namespace e2e {
namespace {

constexpr double straggler_timeout_s = 1.0 * slack;

bool has_part(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

RunOptions with_deadline(bool remove) {
  RunOptions options;
  options.master_arguments = {"--straggler-timeout", std::to_string(straggler_timeout_s)};
  if (remove) options.master_arguments.push_back("--remove-stragglers");
  return options;
}

TEST(Stragglers, AreRemovedAndNamed) {
  LiveRun run(with_deadline(true));
  auto peers = run.join(3);
  Peer& straggler = *peers[2];  // alive, and in no call
  const std::uint64_t begin = now_ns();
  for (std::size_t i = 0; i < 2; ++i) peers[i]->say("reduce tag=7 count=100000");
  for (std::size_t i = 0; i < 2; ++i) {
    const Line failed = peers[i]->answer();
    EXPECT_EQ(failed.result, "pcclRankConnectionLost") << failed.whole;
    EXPECT_TRUE(has_part(failed.text, "it made no progress for")) << failed.whole;
    EXPECT_TRUE(
        has_part(failed.text, "last seen between calls, while 2 of 3 are in all-reduce tag 7"))
        << failed.whole;
  }
  const double took = static_cast<double>(now_ns() - begin) * 1e-9;
  std::printf("straggler removed after %.2f s (deadline %.1f s)\n", took, straggler_timeout_s);
  EXPECT_GT(took, straggler_timeout_s);
  expect_all(ask_all({peers[0], peers[1]}, "reduce tag=7 count=100000"), "pcclSuccess");
  const Line late = straggler.ask("reduce tag=7 count=100000");
  EXPECT_EQ(late.result, "pcclInvalidUsage") << late.whole;
  EXPECT_TRUE(has_part(late.text, "it made no progress for")) << late.whole;
}

TEST(Stragglers, AreOnlyReportedByDefault) {
  LiveRun run(with_deadline(false));
  auto peers = run.join(3);
  for (std::size_t i = 0; i < 2; ++i) peers[i]->say("reduce tag=7 count=100000");
  const auto deadline = Clock::now() + patience;
  while (!has_part(run.master().transcript(), " is late: no progress for")) {
    run.master().has([](const Line&) { return false; });  // reads what it has logged
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    ASSERT_LT(Clock::now(), deadline);
  }
  EXPECT_FALSE(peers[0]->has_answered());
  expect_all({peers[2]->ask("reduce tag=7 count=100000")}, "pcclSuccess");
  expect_all(answers({peers[0], peers[1]}), "pcclSuccess");
}

TEST(LastSeen, AFrozenPeerIsNamedWithWhatItWasDoing) {
  LiveRun run({.peer_timeout_s = 1.0 * slack});
  auto peers = run.join(3);
  for (std::size_t i = 0; i < 2; ++i) peers[i]->say("reduce tag=7 count=100000");
  peers[2]->signal(SIGSTOP);
  for (std::size_t i = 0; i < 2; ++i) {
    const Line failed = peers[i]->answer();
    EXPECT_TRUE(has_part(failed.text, "it sent no heartbeat for")) << failed.whole;
    EXPECT_TRUE(has_part(failed.text, "while 2 of 3 are in all-reduce tag 7")) << failed.whole;
  }
  peers[2]->signal(SIGCONT);
}

}  // namespace
}  // namespace e2e
