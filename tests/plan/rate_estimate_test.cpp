#include "plan/rate_estimate.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "base/rng.hpp"

namespace pccl::plan {
namespace {

using namespace std::chrono_literals;

constexpr Instant begin{1h};

struct Measured {
  double seconds;
  double bits_per_s;
};

// `rate(t)`: bytes per second, t seconds after the begin. Until it is stable, or `limit`.
Measured measure(const std::function<double(double)>& rate, Duration round_trip = 1ms,
                 Duration limit = 2s) {
  RateEstimate estimate(begin, round_trip);
  double bytes = 0;
  Instant now = begin;
  while (!estimate.stable() && now < begin + limit) {
    for (; now < estimate.window_ends(); now += 1ms) bytes += 0.001 * rate(seconds(now - begin));
    estimate.delivered(static_cast<std::uint64_t>(bytes), now);
  }
  return {seconds(now - begin), estimate.bits_per_s()};
}

TEST(RateEstimate, ASteadyPathIsKnownInSixWindows) {
  const Measured measured = measure([](double) { return 1e6; });
  EXPECT_NEAR(measured.seconds, 0.6, 0.001);
  EXPECT_NEAR(measured.bits_per_s, 8e6, 1e4);
}

TEST(RateEstimate, TheRampOfAYoungConnectionIsRiddenOut) {
  for (const double round_trip : {0.02, 0.05, 0.1, 0.15}) {
    const Measured measured = measure(
        [&](double t) { return std::min(12.5e6, 58e3 / round_trip * std::exp2(t / round_trip)); },
        Duration{static_cast<std::int64_t>(round_trip * 1e9)}, 3s);
    EXPECT_NEAR(measured.bits_per_s, 1e8, 3e6) << round_trip;
    EXPECT_LT(measured.seconds, 2.2) << round_trip;
  }
}

TEST(RateEstimate, BurstsWithinARoundTripAreNoUnrest) {
  const double round_trip = 0.25;
  const Measured measured =
      measure([&](double t) { return std::fmod(t, round_trip) < 0.05 ? 5e6 : 0; },
              Duration{static_cast<std::int64_t>(round_trip * 1e9)});
  EXPECT_NEAR(measured.bits_per_s, 8e6, 4e5);
  EXPECT_NEAR(measured.seconds, 1.5, 0.01);
}

TEST(RateEstimate, WhatStaysUnsteadyIsAveraged) {
  Rng rng(1);
  const Measured measured =
      measure([&](double t) { return std::fmod(t, 0.7) < 0.35 ? 1.5e6 : 0.5e6; });
  EXPECT_NEAR(measured.bits_per_s, 8e6, 3e6);
}

TEST(RateEstimate, OfNothingIsNothing) {
  const Measured measured = measure([](double) { return 0; });
  EXPECT_EQ(measured.bits_per_s, 0);
  EXPECT_NEAR(measured.seconds, 2, 0.001);
  EXPECT_EQ(RateEstimate(begin, 1ms).bits_per_s(), 0);
}

TEST(RateEstimate, ALateLookCountsTheTimeThatHasPassed) {
  RateEstimate estimate(begin, 1ms);
  estimate.delivered(1'000'000, begin + 1s);
  EXPECT_NEAR(estimate.bits_per_s(), 8e6, 1);
  estimate.delivered(1'000'000, begin + 1s);
  EXPECT_NEAR(estimate.bits_per_s(), 8e6, 1);
}

}  // namespace
}  // namespace pccl::plan
