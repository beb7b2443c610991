// What travels through the master, near and far, in small groups and large ones.
#include "plan/algorithm_choice.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "base/limits.hpp"

namespace pccl::plan {
namespace {

using namespace std::chrono_literals;

constexpr Duration distances[] = {0us, 50us, 1ms, 20ms, 200ms};

TEST(AlgorithmChoice, TinyInputsTravelThroughTheMaster) {
  for (const Duration rtt : distances)
    for (const std::uint32_t world : {2u, 3u, 8u, 64u})
      for (const std::size_t bytes : {0u, 1u, 1024u})
        EXPECT_EQ(choose_algorithm(bytes, {world, rtt}), Algorithm::star)
            << bytes << " bytes, world " << world << ", " << seconds(rtt) << " s";
}

TEST(AlgorithmChoice, LargeInputsTakeTheRingWhateverIsWished) {
  for (const Duration rtt : distances)
    for (const std::size_t bytes :
         {limits::star_bytes + 1, std::numeric_limits<std::size_t>::max()}) {
      EXPECT_EQ(choose_algorithm(bytes, {2, rtt}), Algorithm::ring);
      EXPECT_EQ(choose_algorithm(bytes, {1000, rtt}, limits::star_bytes), Algorithm::ring);
    }
}

TEST(AlgorithmChoice, BetweenThemTheManyStepsOfALongRingDecide) {
  EXPECT_EQ(choose_algorithm(limits::star_bytes, {8, 50us}), Algorithm::star);
  EXPECT_EQ(choose_algorithm(limits::star_bytes, {8, 100ms}), Algorithm::star);
  // Two short steps cost less than twice the bytes in the master's line.
  EXPECT_EQ(choose_algorithm(limits::star_bytes, {2, 5ms}), Algorithm::ring);
}

TEST(AlgorithmChoice, AWishCounts) {
  EXPECT_EQ(choose_algorithm(4, {8, 50us}, 0), Algorithm::ring);
  EXPECT_EQ(choose_algorithm(100, {8, 50us}, 100), Algorithm::star);
  EXPECT_EQ(choose_algorithm(101, {8, 50us}, 100), Algorithm::ring);
  EXPECT_EQ(choose_algorithm(limits::star_bytes, {2, 5ms}, limits::star_bytes), Algorithm::star);
  EXPECT_EQ(largest_star({8, 50us}, 0), 0u);
  EXPECT_EQ(largest_star({2, 5ms}, limits::star_bytes), limits::star_bytes);
}

TEST(AlgorithmChoice, MoreBytesNeverTurnFromTheRingToTheStar) {
  for (const Duration rtt : distances)
    for (const std::uint32_t world : {2u, 5u, 16u, 1000u}) {
      bool ring = false;
      for (std::size_t bytes = 0; bytes <= 2 * limits::star_bytes; bytes += 128) {
        const bool now = choose_algorithm(bytes, {world, rtt}) == Algorithm::ring;
        EXPECT_TRUE(now || !ring) << bytes << " bytes, world " << world;
        ring = now;
        EXPECT_EQ(ring, bytes > largest_star({world, rtt})) << bytes << " bytes, world " << world;
      }
    }
}

}  // namespace
}  // namespace pccl::plan
