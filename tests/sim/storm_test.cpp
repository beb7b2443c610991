// 2,000 storms, the seeds that were ever red, and determinism.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "sim/many_storms.hpp"

namespace pccl::sim {
namespace {

void expect_no_failures(const Summary& summary) {
  std::printf("%s\n", describe(summary).c_str());
  for (const Failure& failure : summary.failures)
    ADD_FAILURE() << "seed " << failure.seed << ": " << failure.result.text << "\n    "
                  << replay_command(failure.seed);
}

std::uint64_t storms() {
  const char* const wanted = std::getenv("PCCL_STORMS");
  if (wanted != nullptr) return std::strtoull(wanted, nullptr, 10);
#if defined(__SANITIZE_ADDRESS__)
  return 150;  // ten times slower
#else
  return 2000;
#endif
}

TEST(Storm, EverySeedKeepsThePromises) {
  expect_no_failures(run_storms(1, storms(), 2));
}

// Hardly anything else goes wrong, so that rings around paths are looked for again and again.
TEST(Storm, OfCutPaths) {
  expect_no_failures(
      run_storms(1, storms() / 5, 2, {"path_cut", "dial_trouble", "newcomers", "kill"}));
}

TEST(Storm, SeedsThatWereEverRed) {
  std::ifstream seeds(PCCL_SIM_SEEDS);
  ASSERT_TRUE(seeds.good());
  std::size_t count = 0;
  for (std::string line; std::getline(seeds, line);) {
    std::uint64_t seed = 0;
    if (!(std::istringstream(line) >> seed)) continue;
    ++count;
    expect_no_failures(run_storms(seed, seed, 1));
  }
  EXPECT_GT(count, 0u);
}

TEST(Storm, ASeedIsAStory) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const StormResult once = run_storm({.seed = seed}), again = run_storm({.seed = seed});
    EXPECT_EQ(once.hash, again.hash);
    EXPECT_EQ(once.events, again.events);
    EXPECT_NE(once.hash, run_storm({.seed = seed + 1}).hash);
  }
}

TEST(Storm, IsOne) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const StormResult storm = run_storm({.seed = seed});
    EXPECT_GE(storm.peers, 5u);
    EXPECT_GE(storm.ops, 50u);
    EXPECT_GE(storm.faults, 10u);
  }
}

}  // namespace
}  // namespace pccl::sim
