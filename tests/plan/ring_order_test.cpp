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

// ---- where so many paths are broken that the search gets lost

bool is_order_of(Ring ring, const Ring& members) {
  std::sort(ring.begin(), ring.end());
  return ring == members;
}

// A ring is planted, and of all other paths so many are broken, one way or both ways.
BrokenPaths around_a_planted_ring(const Ring& members, double density, Rng& rng) {
  Ring planted = members;
  for (std::size_t i = planted.size(); i > 1; --i) std::swap(planted[i - 1], planted[rng.below(i)]);
  const bool both_ways = rng.chance(0.5);
  BrokenPaths broken;
  for (const PeerId& from : members)
    for (const PeerId& to : members) {
      if (from == to || !rng.chance(both_ways ? density / 2 : density)) continue;
      broken.insert({from, to});
      if (both_ways) broken.insert({to, from});
    }
  for (std::size_t rank = 0; rank < planted.size(); ++rank)
    broken.erase({planted[rank], planted[(rank + 1) % planted.size()]});
  return broken;
}

TEST(RingOrder, FindsARingWhereTwoOfThreePathsAreBroken) {
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    Rng rng(seed);
    const Ring members = peers(8 + rng.below(57));
    const double density = 0.05 * static_cast<double>(rng.below(14));
    const BrokenPaths broken = around_a_planted_ring(members, density, rng);
    const auto ring = ring_order(members, broken);
    ASSERT_TRUE(ring) << "seed " << seed << ": " << members.size() << " peers, " << density;
    EXPECT_TRUE(avoids(*ring, broken)) << "seed " << seed;
    EXPECT_TRUE(is_order_of(*ring, members)) << "seed " << seed;
    EXPECT_EQ(ring->front(), members.front()) << "seed " << seed;
    EXPECT_EQ(ring, ring_order(members, broken)) << "seed " << seed << ": another answer";
  }
}

TEST(RingOrder, FindsTheOnlyDoorBetweenTwoHalves) {
  for (const std::size_t count : {12u, 30u, 64u}) {
    const Ring members = peers(count);
    BrokenPaths broken;
    for (std::size_t from = 0; from < count; ++from)
      for (std::size_t to = 0; to < count; ++to)
        if ((from % 2 == 0) != (to % 2 == 0)) broken.insert({members[from], members[to]});
    broken.erase({members[4], members[7]});
    broken.erase({members[9], members[2]});
    const auto ring = ring_order(members, broken);
    ASSERT_TRUE(ring) << count;
    EXPECT_TRUE(avoids(*ring, broken)) << count;
    EXPECT_TRUE(is_order_of(*ring, members)) << count;
  }
}

// ---- who is left out

std::optional<std::size_t> fewest_by_trying_all(const Ring& members, const BrokenPaths& broken) {
  std::optional<std::size_t> fewest;
  for (std::uint32_t kept = 1; kept < 1u << members.size(); ++kept) {
    Ring rest;
    for (std::size_t i = 0; i < members.size(); ++i)
      if ((kept >> i & 1) != 0) rest.push_back(members[i]);
    const std::size_t out = members.size() - rest.size();
    if ((!fewest || out < *fewest) && by_trying_all(rest, broken)) fewest = out;
  }
  return fewest;
}

TEST(LeaveOut, TheFewestGo) {
  int of_one = 0, of_two = 0;
  for (std::uint64_t seed = 0; seed < 600; ++seed) {
    Rng rng(seed);
    const Ring members = peers(2 + rng.below(5));
    BrokenPaths broken;
    for (const PeerId& from : members)
      for (const PeerId& to : members)
        if (from < to && rng.chance(0.4)) {
          broken.insert({from, to});
          if (rng.chance(0.8)) broken.insert({to, from});
        }
    if (ring_order(members, broken)) continue;
    const Ring out = leave_out(members, broken, members);
    Ring rest = members;
    std::erase_if(rest,
                  [&](PeerId id) { return std::find(out.begin(), out.end(), id) != out.end(); });
    EXPECT_EQ(rest.size() + out.size(), members.size()) << "seed " << seed;
    EXPECT_TRUE(ring_order(rest, broken)) << "seed " << seed;
    const auto fewest = fewest_by_trying_all(members, broken);
    ASSERT_TRUE(fewest);
    EXPECT_TRUE(out.size() == *fewest || *fewest > 2) << "seed " << seed;
    of_one += *fewest == 1;
    of_two += *fewest == 2;
  }
  EXPECT_GT(of_one, 50);
  EXPECT_GT(of_two, 10);
}

TEST(LeaveOut, AmongAsFewTheFirstInTheList) {
  const Ring p = peers(3);
  const BrokenPaths broken{{p[0], p[1]}, {p[1], p[0]}};
  EXPECT_EQ(leave_out(p, broken, {p[2], p[1], p[0]}), Ring{p[1]}) << "p2 has every path";
  EXPECT_EQ(leave_out(p, broken, {p[0], p[1], p[2]}), Ring{p[0]});
  EXPECT_EQ(leave_out(p, broken, {p[0]}), Ring{p[0]});
  EXPECT_EQ(leave_out(p, broken, {p[2]}), Ring{});
}

// Known so far of a run torn into {0, 1} and {2, 3}; nothing is known of 0 and 3.
TEST(LeaveOut, OfATornRunOnePart) {
  const Ring p = peers(4);
  BrokenPaths broken;
  for (const auto& [a, b] : {std::pair{1, 2}, std::pair{2, 0}, std::pair{3, 1}}) {
    broken.insert({p[static_cast<std::size_t>(a)], p[static_cast<std::size_t>(b)]});
    broken.insert({p[static_cast<std::size_t>(b)], p[static_cast<std::size_t>(a)]});
  }
  EXPECT_EQ(leave_out(p, broken, {p[2], p[1], p[0], p[3]}), (Ring{p[2], p[3]}));
}

TEST(LeaveOut, TheSmallerPartOfTwoThatCannotReachEachOther) {
  for (const std::size_t count : {5u, 16u, 64u}) {
    const Ring members = peers(count);
    const std::size_t smaller = count / 3;
    BrokenPaths broken;
    for (std::size_t from = 0; from < count; ++from)
      for (std::size_t to = 0; to < count; ++to)
        if ((from < smaller) != (to < smaller)) broken.insert({members[from], members[to]});
    Ring out = leave_out(members, broken, members);
    std::sort(out.begin(), out.end());
    EXPECT_EQ(out, Ring(members.begin(), members.begin() + static_cast<std::ptrdiff_t>(smaller)));
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

// Everybody has enough neighbours, and still there is no ring: each second place in it would have
// to be of the smaller part.
TEST(RingOrderBound, WhereNothingPlainSaysThatThereIsNone) {
  for (const std::size_t count : {25u, 63u, 255u}) {
    const Ring members = peers(count);
    BrokenPaths broken;
    for (std::size_t from = 0; from < count; ++from)
      for (std::size_t to = 0; to < count; ++to)
        if ((from % 2) == (to % 2)) broken.insert({members[from], members[to]});
    double took = seconds_of([&] { EXPECT_FALSE(ring_order(members, broken)); });
    EXPECT_LT(took, bound_s) << count;
    took = seconds_of([&] { EXPECT_EQ(leave_out(members, broken, members).size(), 1u); });
    EXPECT_LT(took, bound_s) << count;
  }
}

TEST(RingOrderBound, ThePeersOfATornRunAreLeftOut) {
  Rng rng(1);
  const Ring members = peers(64);
  BrokenPaths broken;
  for (const PeerId& from : members)
    for (const PeerId& to : members)
      if (rng.chance(0.97)) broken.insert({from, to});
  Ring out;
  const double took = seconds_of([&] { out = leave_out(members, broken, members); });
  EXPECT_LT(took, bound_s);
  EXPECT_LT(out.size(), 64u);
}

}  // namespace
}  // namespace pccl::plan
