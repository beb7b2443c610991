// What travels through the master, near and far, in small groups and large ones.
#include "plan/algorithm_choice.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "base/limits.hpp"

namespace pccl::plan {
namespace {

using namespace std::chrono_literals;

constexpr Duration distances[] = {0us, 50us, 1ms, 20ms, 200ms};

// Of elements as they are.
Algorithm choose(std::size_t bytes, const Group& group, const AlgorithmWish& wish = {}) {
  return choose_algorithm(bytes, false, group, wish);
}

constexpr AlgorithmWish star_wished{limits::star_bytes}, star_to_100{100}, pairwise_wished{0, true},
    ring_wished{0, false};

TEST(AlgorithmChoice, TinyInputsTravelThroughTheMaster) {
  for (const Duration rtt : distances)
    for (const std::uint32_t world : {2u, 3u, 8u, 64u})
      for (const std::size_t bytes : {0u, 1u, 1024u})
        for (const bool quantized : {false, true})
          EXPECT_EQ(choose_algorithm(bytes, quantized, {world, rtt}), Algorithm::star)
              << bytes << " bytes, world " << world << ", " << seconds(rtt) << " s";
}

TEST(AlgorithmChoice, LargeInputsTravelBetweenThePeersWhateverIsWished) {
  for (const Duration rtt : distances)
    for (const std::size_t bytes :
         {limits::star_bytes + 1, std::numeric_limits<std::size_t>::max()}) {
      EXPECT_NE(choose(bytes, {2, rtt}, star_wished), Algorithm::star);
      EXPECT_EQ(choose(bytes, {2, rtt}, pairwise_wished), Algorithm::pairwise);
      EXPECT_EQ(choose(bytes, {2, rtt}, ring_wished), Algorithm::ring);
      EXPECT_EQ(choose(bytes, {3, rtt}, pairwise_wished), Algorithm::ring);
      EXPECT_EQ(choose(bytes, {1000, rtt}, star_wished), Algorithm::ring);
      EXPECT_EQ(choose_algorithm(bytes, true, {2, rtt}), Algorithm::ring) << "codes";
    }
}

TEST(AlgorithmChoice, BetweenThemTheManyStepsOfALongRingDecide) {
  EXPECT_EQ(choose(limits::star_bytes, {8, 50us}), Algorithm::star);
  EXPECT_EQ(choose(limits::star_bytes, {8, 100ms}), Algorithm::star);
  // One short step costs less than twice the bytes in the master's line.
  EXPECT_EQ(choose(limits::star_bytes, {2, 5ms}), Algorithm::pairwise);
}

TEST(AlgorithmChoice, TwoExchangeWhatCostsLessThanTheSecondStepOfTheRing) {
  for (const Duration rtt : distances) {
    const Group two{2, rtt};
    const std::size_t most = largest_pairwise(two);
    for (const std::size_t bytes : {std::size_t{100'000}, most / 2, most - 8, most + 8, 2 * most}) {
      const bool cheaper = steps_seconds(bytes, two, Algorithm::pairwise) <
                           steps_seconds(bytes, two, Algorithm::ring);
      EXPECT_EQ(choose(bytes, two), cheaper ? Algorithm::pairwise : Algorithm::ring) << bytes;
    }
    EXPECT_EQ(largest_pairwise({3, rtt}), 0u);
    EXPECT_EQ(largest_pairwise(two, ring_wished), 0u);
  }
  // On one machine what fits into its caches, far away everything.
  EXPECT_GT(largest_pairwise({2, 30us}), std::size_t{1} << 20);
  EXPECT_LT(largest_pairwise({2, 30us}), std::size_t{16} << 20);
  EXPECT_GT(largest_pairwise({2, 100ms}), std::size_t{1} << 30);
}

TEST(AlgorithmChoice, WhatTheStarTakesDoesNotDependOnQuantization) {
  for (const Duration rtt : distances)
    for (std::size_t bytes = 0; bytes <= 2 * limits::star_bytes; bytes += 128)
      EXPECT_EQ(choose(bytes, {2, rtt}) == Algorithm::star,
                choose_algorithm(bytes, true, {2, rtt}) == Algorithm::star)
          << bytes;
}

TEST(AlgorithmChoice, AWishCounts) {
  EXPECT_EQ(choose(4, {8, 50us}, ring_wished), Algorithm::ring);
  EXPECT_EQ(choose(4, {2, 50us}, pairwise_wished), Algorithm::pairwise);
  EXPECT_EQ(choose(100, {8, 50us}, star_to_100), Algorithm::star);
  EXPECT_EQ(choose(101, {8, 50us}, star_to_100), Algorithm::ring);
  EXPECT_EQ(choose(limits::star_bytes, {2, 5ms}, star_wished), Algorithm::star);
  EXPECT_EQ(largest_star({8, 50us}, ring_wished), 0u);
  EXPECT_EQ(largest_star({2, 5ms}, star_wished), limits::star_bytes);
}

TEST(AlgorithmChoice, MoreBytesNeverTurnBackToTheStar) {
  for (const Duration rtt : distances)
    for (const std::uint32_t world : {2u, 5u, 16u, 1000u}) {
      bool past = false;
      for (std::size_t bytes = 0; bytes <= 2 * limits::star_bytes; bytes += 128) {
        const bool now = choose(bytes, {world, rtt}) != Algorithm::star;
        EXPECT_TRUE(now || !past) << bytes << " bytes, world " << world;
        past = now;
        EXPECT_EQ(past, bytes > largest_star({world, rtt})) << bytes << " bytes, world " << world;
      }
    }
}

}  // namespace
}  // namespace pccl::plan
