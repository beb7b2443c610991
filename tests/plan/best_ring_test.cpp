// The best ring, compared with trying all orders, and on shapes where it is known beyond that.
#include "plan/best_ring.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/rng.hpp"
#include "plan/short_ring.hpp"

namespace pccl::plan {
namespace {

PathQualities all_alike(std::size_t count, PathQuality quality = {1e9, 0.01}) {
  PathQualities qualities(count);
  for (Index from = 0; from < count; ++from)
    for (Index to = 0; to < count; ++to)
      if (from != to) qualities.of(from, to) = quality;
  return qualities;
}

Order identity(std::size_t count) {
  Order order(count);
  for (Index index = 0; index < count; ++index) order[index] = index;
  return order;
}

bool is_ring(const PathQualities& qualities, const Order& ring) {
  Order sorted = ring;
  std::sort(sorted.begin(), sorted.end());
  return sorted == identity(qualities.count()) && ring.front() == 0;
}

// A random world: bandwidths over three orders of magnitude, some paths missing.
PathQualities random_world(Rng& rng, std::size_t count, double missing) {
  PathQualities qualities(count);
  for (Index from = 0; from < count; ++from)
    for (Index to = 0; to < count; ++to)
      if (from != to && !rng.chance(missing))
        qualities.of(from, to) = {
            1e6 * std::pow(10.0, static_cast<double>(rng.below(3000)) / 1000.0),
            0.001 * static_cast<double>(1 + rng.below(300))};
  return qualities;
}

struct Best {
  double slowest = 0, shortest = INFINITY;
};

Best by_trying_all(const PathQualities& qualities) {
  Best best;
  Order order = identity(qualities.count());
  do best.slowest = std::max(best.slowest, slowest_link(qualities, order));
  while (std::next_permutation(order.begin() + 1, order.end()));
  order = identity(qualities.count());
  if (best.slowest > 0) do {
      if (slowest_link(qualities, order) >= best.slowest * (1 - bandwidth_noise))
        best.shortest = std::min(best.shortest, sum_of_round_trips(qualities, order));
    } while (std::next_permutation(order.begin() + 1, order.end()));
  return best;
}

TEST(BestRing, OfNobodyOneAndTwo) {
  for (const std::size_t count : {0u, 1u, 2u})
    EXPECT_EQ(best_ring(all_alike(count)), identity(count)) << count;
  PathQualities one_way = all_alike(2);
  one_way.of(1, 0) = {};
  EXPECT_EQ(best_ring(one_way), std::nullopt);
}

TEST(BestRing, IsTheBestOfAllOrders) {
  Rng rng(1);
  for (int round = 0; round < 400; ++round) {
    const std::size_t count = 2 + rng.below(7);
    const PathQualities world = random_world(rng, count, round % 4 * 0.15);
    const Best best = by_trying_all(world);
    const auto ring = best_ring(world);
    ASSERT_EQ(ring.has_value(), best.slowest > 0) << round;
    if (!ring) continue;
    ASSERT_TRUE(is_ring(world, *ring)) << round;
    EXPECT_GE(slowest_link(world, *ring), best.slowest * (1 - bandwidth_noise)) << round;
    EXPECT_LE(sum_of_round_trips(world, *ring),
              std::max(best.shortest * (1 + round_trip_noise), best.shortest + round_trip_noise_s))
        << round;
  }
}

TEST(BestRing, IsKeptAsItIsWhenOthersAreBetterByNoiseOnly) {
  Rng rng(2);
  PathQualities world = all_alike(8);
  for (Index from = 0; from < 8; ++from)
    for (Index to = 0; to < 8; ++to) {
      const double noise = static_cast<double>(rng.below(1000)) / 1000.0;
      if (from != to) world.of(from, to) = {1e9 * (0.97 + 0.03 * noise), 0.04 + 0.001 * noise};
    }
  EXPECT_EQ(best_ring(world), identity(8));
  world.of(2, 3).bits_per_s = 0.5e9;
  const auto around = best_ring(world);
  ASSERT_TRUE(around);
  EXPECT_GT(slowest_link(world, *around), 0.9e9);
}

TEST(BestRing, AvoidsTheSlowDirectionAndUsesTheOther) {
  PathQualities world = all_alike(3, {1e8, 0.02});
  world.of(0, 1).bits_per_s = 1e7;
  EXPECT_EQ(best_ring(world), (Order{0, 2, 1}));
}

TEST(BestRing, OfTwelveIsExactAndQuick) {
  Rng rng(3);
  const auto begin = std::chrono::steady_clock::now();
  for (int round = 0; round < 10; ++round) {
    const PathQualities world = random_world(rng, exact_ring_size, 0.1);
    const auto ring = best_ring(world);
    ASSERT_TRUE(ring);
    // No ring above the floor is better: the exact search has said so; and a local one finds none.
    PathMap good(world.count());
    for (Index from = 0; from < good.count(); ++from)
      for (Index to = 0; to < good.count(); ++to)
        if (world.of(from, to).bits_per_s < slowest_link(world, *ring)) good.close(from, to);
    const auto length = [&](Index from, Index to) { return world.of(from, to).round_trip_s; };
    EXPECT_GE(sum_of_round_trips(world, shortened_ring(good, length, *ring)),
              sum_of_round_trips(world, *ring) * (1 - 1e-9));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(60));
}

// Sites around a circle, one slow path out of each: the ring along the circle is the best there is.
PathQualities sites_around_a_circle(std::size_t count, const Order& place) {
  PathQualities world(count);
  for (Index a = 0; a < count; ++a)
    for (Index b = 0; b < count; ++b) {
      const double angle = 2 * M_PI *
                           (static_cast<double>(place[a]) - static_cast<double>(place[b])) /
                           static_cast<double>(count);
      if (a != b) world.of(a, b) = {1e9, 0.3 * std::abs(std::sin(angle / 2))};
    }
  return world;
}

TEST(BestRing, OfManyIsNearlyTheBest) {
  for (const std::size_t count : {13u, 24u, 48u, 100u}) {
    Rng rng(count);
    Order place = identity(count);
    for (std::size_t left = count; left > 1; --left)
      std::swap(place[left - 1], place[rng.below(left)]);
    PathQualities world = sites_around_a_circle(count, place);
    // Everybody has a slow path to somebody at random, but not along the circle one way.
    for (Index from = 0; from < count; ++from) {
      const auto to = static_cast<Index>(rng.below(count));
      if (to != from && place[to] != (place[from] + 1) % count) world.of(from, to).bits_per_s = 1e7;
    }
    const double circle =
        0.3 * std::sin(M_PI / static_cast<double>(count)) * static_cast<double>(count);
    const auto begin = std::chrono::steady_clock::now();
    const auto ring = best_ring(world);
    ASSERT_TRUE(ring) << count;
    ASSERT_TRUE(is_ring(world, *ring)) << count;
    EXPECT_GE(slowest_link(world, *ring), 1e9) << count;
    EXPECT_LE(sum_of_round_trips(world, *ring), 1.1 * circle) << count;
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20)) << count;
    EXPECT_EQ(best_ring(world), ring) << "the same question has the same answer";
  }
}

TEST(BestRing, OfManyFindsTheHiddenOne) {
  for (const std::size_t count : {16u, 32u, 64u}) {
    Rng rng(count);
    Order hidden = identity(count);
    for (std::size_t left = count; left > 2; --left)
      std::swap(hidden[left - 1], hidden[1 + rng.below(left - 1)]);
    PathQualities world = all_alike(count, {1e7, 0.05});
    for (Index from = 0; from < count; ++from)
      for (Index to = 0; to < count; ++to)  // a third of the paths is better, none of them best
        if (from != to && rng.chance(0.33)) world.of(from, to).bits_per_s = 1e8;
    for (std::size_t rank = 0; rank < count; ++rank)
      world.of(hidden[rank], hidden[(rank + 1) % count]).bits_per_s = 1e8;
    const auto ring = best_ring(world);
    ASSERT_TRUE(ring);
    EXPECT_GE(slowest_link(world, *ring), 1e8) << count;
  }
}

}  // namespace
}  // namespace pccl::plan
