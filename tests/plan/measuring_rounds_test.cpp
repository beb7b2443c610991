#include "plan/measuring_rounds.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/rng.hpp"

namespace pccl::plan {
namespace {

// Everybody sends once and receives once at most in each, and among `count` > 2 no two to each
// other; gives all pairs.
std::set<Pair> pairs_of(Index count, const std::vector<Round>& rounds) {
  std::set<Pair> all;
  for (const Round& round : rounds) {
    std::set<Index> senders, receivers;
    for (const auto& [from, to] : round) {
      EXPECT_NE(from, to);
      EXPECT_TRUE(senders.insert(from).second);
      EXPECT_TRUE(receivers.insert(to).second);
      EXPECT_TRUE(all.insert({from, to}).second);
      if (count > 2) {
        EXPECT_EQ(std::count(round.begin(), round.end(), Pair{to, from}), 0);
      }
    }
  }
  return all;
}

TEST(MeasuringRounds, AllPairsFitIntoOneRoundLessThanThereAreMembersOrAsManyAsAnEvenNumber) {
  for (Index count = 0; count <= 20; ++count) {
    const auto rounds = measuring_rounds(count, [](Pair) { return true; });
    EXPECT_EQ(rounds.size(), count < 2 ? 0 : count == 2 ? 1 : count - 1 + (count + 1) % 2);
    EXPECT_EQ(pairs_of(count, rounds).size(), count < 2 ? 0 : count * (count - 1));
  }
}

TEST(MeasuringRounds, ANewcomersPathsTakeAsManyRoundsAsItHasOthers) {
  for (Index count = 2; count <= 20; ++count)
    for (Index newcomer = 0; newcomer < count; ++newcomer) {
      const auto rounds = measuring_rounds(
          count, [&](Pair pair) { return pair.first == newcomer || pair.second == newcomer; });
      EXPECT_LE(rounds.size(), count);
      EXPECT_EQ(pairs_of(count, rounds).size(), 2 * (count - 1));
    }
}

TEST(MeasuringRounds, OfAnyPairsHoldThese) {
  Rng rng(1);
  for (int round = 0; round < 200; ++round) {
    const auto count = static_cast<Index>(2 + rng.below(12));
    std::set<Pair> wanted;
    std::vector<std::size_t> sends(count), receives(count);
    for (Index from = 0; from < count; ++from)
      for (Index to = 0; to < count; ++to)
        if (from != to && rng.chance(0.4)) {
          wanted.insert({from, to});
          ++sends[from];
          ++receives[to];
        }
    const auto rounds = measuring_rounds(count, [&](Pair pair) { return wanted.contains(pair); });
    EXPECT_EQ(pairs_of(count, rounds), wanted);
    EXPECT_LE(rounds.size(), 2 * count);
  }
}

}  // namespace
}  // namespace pccl::plan
