// Rings around broken paths, compared with trying all orders, and bounded where trying is hopeless.
#include "plan/ring_order.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "base/rng.hpp"

namespace pccl::plan {
namespace {

using Ring = std::vector<PeerId>;

Ring peers(std::size_t count) {
  Ring members;
  for (std::size_t index = 0; index < count; ++index) members.push_back({7, index + 1});
  return members;
}

bool avoids(const Ring& ring, const BrokenPaths& broken) {
  for (std::size_t rank = 0; rank < ring.size() && ring.size() > 1; ++rank)
    if (broken.contains({ring[rank], ring[(rank + 1) % ring.size()]})) return false;
  return true;
}

// The first order, as a dictionary would sort them, that avoids the broken paths.
std::optional<Ring> by_trying_all(const Ring& members, const BrokenPaths& broken) {
  Ring order = members;  // sorted by construction
  do {
    if (order.front() != members.front()) break;  // a ring has no beginning
    if (avoids(order, broken)) return order;
  } while (std::next_permutation(order.begin(), order.end()));
  return std::nullopt;
}

TEST(RingOrder, OfNobodyIsEmptyAndOfOneIsItself) {
  EXPECT_EQ(ring_order({}, {}), Ring{});
  EXPECT_EQ(ring_order(peers(1), {}), peers(1));
  const PeerId alone = peers(1).front();
  EXPECT_EQ(ring_order(peers(1), {{alone, alone}}), peers(1)) << "one peer sends to nobody";
}

TEST(RingOrder, KeepsTheOrderWhenNothingIsBroken) {
  for (std::size_t count = 2; count <= 40; ++count)
    EXPECT_EQ(ring_order(peers(count), {}), peers(count));
  Ring shuffled = peers(6);
  std::swap(shuffled[0], shuffled[4]);
  std::swap(shuffled[1], shuffled[5]);
  EXPECT_EQ(ring_order(shuffled, {}), shuffled);
  const Ring p = peers(4);
  EXPECT_EQ(ring_order(p, {{p[0], p[2]}, {p[1], p[0]}, {p[3], p[1]}}), p)
      << "paths that the ring does not use";
}

TEST(RingOrder, TwoPeersNeedBothDirections) {
  const Ring p = peers(2);
  EXPECT_FALSE(ring_order(p, {{p[0], p[1]}}));
  EXPECT_FALSE(ring_order(p, {{p[1], p[0]}}));
}

TEST(RingOrder, ThreePeersTurnRoundWhenOneDirectionIsBroken) {
  const Ring p = peers(3);
  EXPECT_EQ(ring_order(p, {{p[0], p[1]}}), (Ring{p[0], p[2], p[1]}));
  EXPECT_EQ(ring_order(p, {{p[2], p[0]}}), (Ring{p[0], p[2], p[1]}));
  EXPECT_FALSE(ring_order(p, {{p[0], p[1]}, {p[1], p[0]}}));
}

TEST(RingOrder, FindsTheNearestRingWheneverThereIsOne) {
  int found = 0, none = 0;
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    Rng rng(seed);
    const Ring members = peers(2 + rng.below(6));
    const double density = static_cast<double>(rng.below(10)) / 10;
    BrokenPaths broken;
    for (const PeerId& from : members)
      for (const PeerId& to : members)
        if (from != to && rng.chance(density)) broken.insert({from, to});
    const auto expected = by_trying_all(members, broken);
    ASSERT_EQ(ring_order(members, broken), expected) << "seed " << seed;
    ++(expected ? found : none);
  }
  EXPECT_GT(found, 500);
  EXPECT_GT(none, 500);
}

TEST(RingOrder, AvoidsAFewBrokenPathsAmongMany) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Rng rng(seed);
    const Ring members = peers(50);
    BrokenPaths broken;
    for (int path = 0; path < 30; ++path) {
      const std::size_t from = rng.below(50);
      broken.insert({members[from], members[(from + 1 + rng.below(3)) % 50]});
    }
    const auto ring = ring_order(members, broken);
    ASSERT_TRUE(ring) << "seed " << seed;
    EXPECT_TRUE(avoids(*ring, broken)) << "seed " << seed;
    Ring sorted = *ring;
    std::sort(sorted.begin(), sorted.end());
    EXPECT_EQ(sorted, members) << "seed " << seed;
  }
}

// ---- the master's loop waits for the answer: it must come soon

template <typename Work>
double seconds_of(const Work& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

constexpr double bound_s = 2;  // generous, for sanitizers and busy machines

TEST(RingOrderBound, TheLargestRunTakesNoTime) {
  const Ring members = peers(4096);
  EXPECT_LT(seconds_of([&] { EXPECT_EQ(ring_order(members, {}), members); }), bound_s);
}

TEST(RingOrderBound, APeerThatNobodyReachesIsGivenUpOn) {
  for (const std::size_t count : {12u, 100u, 1000u, 4096u}) {
    const Ring members = peers(count);
    BrokenPaths broken;
    for (const PeerId& from : members)
      if (from != members.back()) broken.insert({from, members.back()});
    const double took = seconds_of([&] { EXPECT_FALSE(ring_order(members, broken)); });
    EXPECT_LT(took, bound_s) << count;
  }
}

TEST(RingOrderBound, TwoHalvesThatCannotReachEachOther) {
  for (const std::size_t count : {30u, 400u}) {
    const Ring members = peers(count);
    BrokenPaths broken;
    for (std::size_t from = 0; from < count; ++from)
      for (std::size_t to = 0; to < count; ++to)
        if ((from < count / 2) != (to < count / 2)) broken.insert({members[from], members[to]});
    const double took = seconds_of([&] { EXPECT_FALSE(ring_order(members, broken)); });
    EXPECT_LT(took, bound_s) << count;
  }
}

}  // namespace
}  // namespace pccl::plan
