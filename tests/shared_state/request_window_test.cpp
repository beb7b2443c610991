// The window opens while that makes blocks come faster, and no further.
#include "shared_state/request_window.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "shared_state/frames.hpp"

namespace pccl::shared_state {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t block = 256 << 10;

// A path that carries `blocks_per_round_trip`, and no more blocks at a time than the window.
std::uint32_t settled(double blocks_per_round_trip) {
  RequestWindow window(block);
  Instant now{};
  for (int round_trip = 0; round_trip < 200; ++round_trip) {
    const std::uint32_t blocks = window.blocks();
    const double round_trips = std::max(1.0, blocks / blocks_per_round_trip);
    for (std::uint32_t arrival = 0; arrival < blocks; ++arrival) {
      now += std::chrono::duration_cast<Duration>(100ms * round_trips / blocks);
      window.block_arrived(block, now);
    }
  }
  return window.blocks();
}

TEST(RequestWindow, CoversTheRoundTripAndLittleMore) {
  EXPECT_LE(settled(1), 8U);
  for (const double blocks : {8.0, 30.0, 50.0, 100.0}) {
    EXPECT_GE(settled(blocks), blocks);
    EXPECT_LE(settled(blocks), 4 * blocks);
  }
}

TEST(RequestWindow, IsBounded) {
  EXPECT_EQ(settled(1e6), requests_in_flight);
  RequestWindow huge(64 << 20);
  EXPECT_EQ(huge.blocks(), 2U);
  RequestWindow tiny(64);
  Instant now{};
  for (int arrival = 0; arrival < 100'000; ++arrival) tiny.block_arrived(64, now += 1ns);
  EXPECT_LE(tiny.blocks(), requests_in_flight);
}

TEST(RequestWindow, AClockThatStandsTellsNothing) {
  RequestWindow window(block);
  for (int arrival = 0; arrival < 1000; ++arrival) window.block_arrived(block, Instant{});
  EXPECT_EQ(window.blocks(), 4U);
}

}  // namespace
}  // namespace pccl::shared_state
