// A check that nothing trips is not a check: each broken promise, as the peers would report it.
#include "chaos/checker.hpp"

#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "chaos/mix.hpp"
#include "chaos/violation.hpp"

namespace chaos {
namespace {

constexpr std::uint64_t seed = 5;
constexpr std::size_t largest = 1000;

// Peers 0, 1, 2 in the slots of these numbers, all in their first seats.
class CheckerTest : public testing::Test {
 protected:
  void say(std::uint32_t peer, const std::string& what, const std::string& values = "") {
    std::ostringstream line;
    line << "at " << what << " seat=" << seats[peer] << " t=" << ++time << " " << values << " | ";
    checker.read(peer, peer, e2e::Line(line.str()));
  }
  static std::uint64_t number(std::uint32_t peer, std::uint64_t attempt = 0) {
    return (std::uint64_t{peer} << 32) + 1 + attempt;
  }
  void launch(std::uint32_t peer, std::uint64_t attempt = 0) {
    say(peer, "launch", "step=7 op=0 n=" + std::to_string(number(peer, attempt)));
  }
  void fail(std::uint32_t peer) { say(peer, "failed", "n=" + std::to_string(number(peer))); }
  static std::uint64_t right_digest(const std::vector<std::uint32_t>& peers) {
    std::vector<Launch> launches;
    for (const std::uint32_t peer : peers) launches.push_back({peer, number(peer)});
    const auto bytes = expected(round_of(seed, 7, largest).ops[0], launches);
    return digest(bytes.data(), bytes.size());
  }
  void succeed(std::uint32_t peer, std::uint64_t digest, unsigned mask, unsigned world) {
    say(peer, "reduced",
        "step=7 op=0 n=" + std::to_string(number(peer)) + " digest=" + std::to_string(digest) +
            " mask=" + std::to_string(mask) + " world=" + std::to_string(world));
  }
  void sync(std::uint32_t peer, std::uint64_t step, std::uint64_t digest) {
    say(peer, "synced",
        "step=" + std::to_string(step) + " digest=" + std::to_string(digest) + " rx=0");
  }
  void settle() {
    checker.settle();
    checker.settle();
  }
  void all_launch() {
    for (std::uint32_t peer = 0; peer < 3; ++peer) launch(peer);
  }

  Checker checker{seed, largest};
  std::uint64_t seats[3] = {1, 1, 1};
  std::uint64_t time = 0;
};

TEST_F(CheckerTest, TheSumOverAll) {
  all_launch();
  for (std::uint32_t peer = 0; peer < 3; ++peer) succeed(peer, right_digest({0, 1, 2}), 7, 3);
  settle();
  EXPECT_EQ(checker.counts().ops, 1U);
}

TEST_F(CheckerTest, BitsThatAreNotTheSum) {
  all_launch();
  succeed(0, right_digest({0, 1}), 7, 3);
  EXPECT_THROW(settle(), Violation);
}

TEST_F(CheckerTest, BitsThatDiffer) {
  all_launch();
  succeed(0, right_digest({0, 1, 2}), 7, 3);
  succeed(1, right_digest({0, 1, 2}) ^ 1, 7, 3);
  EXPECT_THROW(settle(), Violation);
}

TEST_F(CheckerTest, FewerContributorsThanTheWorldHas) {
  all_launch();
  succeed(0, right_digest({0, 1}), 3, 3);
  EXPECT_THROW(settle(), Violation);
}

TEST_F(CheckerTest, TwoWorldsInOneOp) {
  all_launch();
  succeed(0, right_digest({0, 1, 2}), 7, 3);
  succeed(1, right_digest({1, 2}), 6, 2);
  EXPECT_THROW(settle(), Violation);
}

TEST_F(CheckerTest, WithoutTheReporter) {
  all_launch();
  succeed(0, right_digest({1, 2}), 6, 2);
  EXPECT_THROW(settle(), Violation);
}

TEST_F(CheckerTest, OfOneWhoDidNotLaunch) {
  launch(0);
  launch(1);
  succeed(0, right_digest({0, 1, 2}), 7, 3);
  EXPECT_THROW(settle(), Violation);
}

TEST_F(CheckerTest, ALaunchIsPartOfOneResultOnly) {
  all_launch();
  succeed(0, right_digest({0, 1}), 3, 2);
  settle();
  succeed(2, right_digest({1, 2}), 6, 2);
  EXPECT_THROW(settle(), Violation);
}

TEST_F(CheckerTest, FailedHereAndSucceededThereAndBothGoOn) {
  all_launch();
  fail(1);
  succeed(0, right_digest({0, 1, 2}), 7, 3);
  settle();
  sync(0, 8, 1);
  EXPECT_THROW(sync(1, 8, 1), Violation);
}

TEST_F(CheckerTest, FailedHereByOneWhoWasRemoved) {
  all_launch();
  succeed(0, right_digest({0, 1, 2}), 7, 3);
  settle();
  fail(1);
  sync(0, 8, 1);
  ++seats[1];
  say(1, "connected");
  sync(1, 8, 1);
  EXPECT_EQ(checker.counts().contradictions, 1U);
}

// By one who was removed while several ops were under way, of which one had succeeded (chaos, seed
// 13).
TEST_F(CheckerTest, FailedHereBeforeAnEarlierOpIsAwaited) {
  const auto earlier = [](std::uint32_t peer) { return number(peer, 1); };
  for (std::uint32_t peer = 0; peer < 3; ++peer)
    say(peer, "launch", "step=8 op=0 n=" + std::to_string(earlier(peer)));
  all_launch();
  succeed(0, right_digest({0, 1, 2}), 7, 3);
  settle();
  fail(1);
  const auto bytes = expected(round_of(seed, 8, largest).ops[0],
                              {{0, earlier(0)}, {1, earlier(1)}, {2, earlier(2)}});
  for (const std::uint32_t peer : {0U, 1U})
    say(peer, "reduced",
        "step=8 op=0 n=" + std::to_string(earlier(peer)) +
            " digest=" + std::to_string(digest(bytes.data(), bytes.size())) + " mask=7 world=3");
  settle();
  sync(0, 8, 1);
  EXPECT_THROW(sync(1, 8, 1), Violation) << "this is going on";
}

TEST_F(CheckerTest, ARevisionWithTwoContents) {
  sync(0, 8, 1);
  sync(1, 8, 2);
  sync(0, 9, 3);
  EXPECT_THROW(sync(1, 9, 3), Violation);
}

TEST_F(CheckerTest, ARevisionThatGoesBack) {
  sync(0, 8, 1);
  EXPECT_THROW(sync(0, 7, 1), Violation);
}

// Every op of many rounds: the contributors can be read off the result, whoever they are.
TEST(Contribution, ResultsNameTheirContributors) {
  for (std::uint64_t step = 0; step < 200; ++step) {
    for (const Op& op : round_of(seed, step, largest).ops) {
      const std::uint32_t mask = 1 + static_cast<std::uint32_t>(mix(step)) % ((1U << slots) - 1);
      std::vector<Launch> launches;
      for (std::uint32_t slot = 0; slot < slots; ++slot)
        if ((mask & (1U << slot)) != 0) launches.push_back({slot, (step << 32) + slot});
      EXPECT_EQ(contributors_in(op, expected(op, launches)).value_or(0), mask);
      const auto alone = expected(op, {launches[0]});
      EXPECT_EQ(alone == contribution(op, launches[0]), true);
    }
  }
}

}  // namespace
}  // namespace chaos
