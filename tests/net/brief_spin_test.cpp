// When a wait looks again, and when it sleeps at once. The clock is the test's.
#include "net/brief_spin.hpp"

#include <gtest/gtest.h>

namespace pccl::net {
namespace {

using namespace std::chrono_literals;

Instant now_is;
Duration yield_takes;

class BriefSpinTest : public testing::Test {
 protected:
  BriefSpinTest() {
    now_is = Instant{};
    yield_takes = 1us;
  }

  // Ready after so many looks; how often it was asked.
  bool wait(int looks) {
    asked_ = 0;
    return spin_.until([&] { return ++asked_ >= looks; });
  }
  int in_vain() { return wait(1'000'000), asked_; }

  BriefSpin spin_{[] { return now_is; }, [] { now_is += yield_takes; }};
  int asked_ = 0;
};

TEST_F(BriefSpinTest, FindsWhatComesSoon) {
  for (int wait_number = 0; wait_number < 10; ++wait_number) {
    EXPECT_TRUE(wait(20));
    EXPECT_EQ(asked_, 20);
  }
}

TEST_F(BriefSpinTest, GivesUpAfterAMoment) {
  EXPECT_EQ(in_vain(), 150) << "microseconds, one a look";
}

TEST_F(BriefSpinTest, SleepsLongerEachTimeItLooksInVain) {
  for (const int sleeps : {1, 2, 4, 8, 8, 8}) {
    EXPECT_GT(in_vain(), 0);
    for (int slept = 0; slept < sleeps; ++slept) EXPECT_EQ(in_vain(), 0) << slept;
  }
  EXPECT_TRUE(wait(3));
  EXPECT_TRUE(wait(3)) << "one success, and every wait looks again";
}

TEST_F(BriefSpinTest, LooksLessOftenWhereOthersWantTheCore) {
  yield_takes = 20us;
  EXPECT_EQ(in_vain(), 8);
  EXPECT_EQ(in_vain(), 0);
}

TEST_F(BriefSpinTest, WhatCameDuringALongYieldCounts) {
  yield_takes = 1ms;
  EXPECT_TRUE(wait(1));
}

}  // namespace
}  // namespace pccl::net
