// What is believed of paths, and for how long.
#include "membership/path_book.hpp"

#include <gtest/gtest.h>

namespace pccl::membership {
namespace {

using namespace std::chrono_literals;
using Paths = plan::BrokenPaths;

const PeerId a{1, 1}, b{2, 2}, c{3, 3};
const PathBook::Path ab{a, b}, ba{b, a};
constexpr Duration first = 12s;
const Instant start{1h};

TEST(PathBook, NoAnswerMeansNeitherDirection) {
  PathBook book;
  book.unanswered(ab, start, first);
  EXPECT_EQ(book.broken(), (Paths{ab, ba}));
  EXPECT_EQ(book.broken_or_suspected(), (Paths{ab, ba}));
}

TEST(PathBook, AClosedDoorMakesTheOtherDirectionSuspected) {
  PathBook book;
  book.unopened(ab, start, first);
  EXPECT_EQ(book.broken(), Paths{ab});
  EXPECT_EQ(book.broken_or_suspected(), (Paths{ab, ba}));
  book.stands(ba, start + 1s);
  EXPECT_EQ(book.broken(), Paths{ab});
  EXPECT_EQ(book.broken_or_suspected(), Paths{ab}) << "a link stood there since";
}

TEST(PathBook, ALinkThatStandsHealsWhatWasCutBothWays) {
  PathBook book;
  book.unanswered(ab, start, first);
  book.stands(ba, start + 20s);
  EXPECT_EQ(book.broken(), Paths{});
}

TEST(PathBook, ACoolDownDoublesWithEachTryThatFails) {
  PathBook book;
  book.unanswered(ab, start, first);
  EXPECT_EQ(book.still_cooling(start + first - 1s), (Paths{ab, ba}));
  EXPECT_EQ(book.still_cooling(start + first), Paths{});
  Instant now = start;
  for (Duration cool_down = first; cool_down <= 256 * first; cool_down *= 2) {
    EXPECT_TRUE(book.still_cooling(now + cool_down - 1s).contains(ab));
    now += cool_down;
    EXPECT_FALSE(book.still_cooling(now).contains(ab));
    book.proposed({a, b, c});
    book.unanswered(ab, now, first);
  }
  EXPECT_TRUE(book.still_cooling(now + 256 * first - 1s).contains(ab));
  EXPECT_FALSE(book.still_cooling(now + 256 * first).contains(ab)) << "the longest";
}

TEST(PathBook, NewsOfAKnownBreakChangesNothing) {
  PathBook book;
  book.unanswered(ab, start, first);
  for (int time = 1; time < 12; ++time) book.unanswered(ba, start + time * 1s, first);
  EXPECT_EQ(book.still_cooling(start + first), Paths{});
  book.proposed({a, c, b, PeerId{4, 4}});  // does not try it
  book.unanswered(ab, start + first, first);
  EXPECT_EQ(book.still_cooling(start + first), Paths{});
}

TEST(PathBook, WhatHealedForAMomentIsNotTrustedSooner) {
  PathBook book;
  book.unanswered(ab, start, first);
  book.stands(ab, start + 100s);
  book.unanswered(ab, start + 105s, first);
  EXPECT_TRUE(book.still_cooling(start + 105s + first).contains(ab)) << "twice as long";
  book.stands(ab, start + 200s);
  book.unanswered(ab, start + 300s, first);
  EXPECT_FALSE(book.still_cooling(start + 300s + first).contains(ab)) << "another story";
}

TEST(PathBook, IsForgottenWithAnEnd) {
  PathBook book;
  book.unanswered(ab, start, first);
  book.unopened({a, c}, start, first);
  book.forget([](PeerId id) { return id == b; });
  EXPECT_EQ(book.broken(), (Paths{{a, c}}));
  EXPECT_EQ(book.broken_in({a, c}), (std::vector<PathBook::Path>{{a, c}}));
}

}  // namespace
}  // namespace pccl::membership
