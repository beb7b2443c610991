// The generator behind every seed: its sequence must never change, or old seeds lose their meaning.
#include "base/rng.hpp"

#include <gtest/gtest.h>

namespace pccl {
namespace {

TEST(Rng, GivesThePublishedSequenceOfSplitMix64) {
  Rng rng(1234567);
  for (const std::uint64_t expected :
       {6457827717110365317u, 3203168211198807973u, 9817491932198370423u, 4593380528125082431u,
        16408922859458223821u})
    EXPECT_EQ(rng.next(), expected);
}

TEST(Rng, IsDeterminedByItsSeed) {
  Rng a(5), b(5), other(6);
  const std::uint64_t first = a.next();
  EXPECT_EQ(first, b.next());
  EXPECT_NE(first, other.next());
}

TEST(Rng, StaysBelowTheBoundAndReachesAllOfIt) {
  Rng rng(1);
  bool seen[7] = {};
  for (int draw = 0; draw < 200; ++draw) {
    const std::uint64_t value = rng.below(7);
    ASSERT_LT(value, 7u);
    seen[value] = true;
  }
  for (const bool value : seen) EXPECT_TRUE(value);
  EXPECT_EQ(rng.below(1), 0u);
}

TEST(Rng, ChanceKeepsItsProbability) {
  Rng rng(2);
  int hits = 0;
  for (int draw = 0; draw < 10'000; ++draw) {
    EXPECT_FALSE(rng.chance(0.0));
    EXPECT_TRUE(rng.chance(1.0));
    hits += rng.chance(0.25) ? 1 : 0;
  }
  EXPECT_NEAR(hits, 2500, 200);
}

}  // namespace
}  // namespace pccl
