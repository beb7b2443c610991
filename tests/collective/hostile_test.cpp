// Frames that no honest neighbour sends: they neither crash nor grow memory, and touch nothing
// outside the op's own receive buffer.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/limits.hpp"
#include "base/live_bytes.hpp"
#include "collective/ring_harness.hpp"

namespace pccl::collective {
namespace {

using test::op_key;
using test::RingHarness;

constexpr std::uint32_t eager = limits::segment_bytes;
constexpr std::size_t mebi = std::size_t{1} << 20;

// One rank of a ring of three, or of a pair, with an op in place under way, its buffer between
// bytes that must not change.
class Attacked : public testing::TestWithParam<bool> {
 protected:
  static constexpr std::size_t margin = 100'000;
  static constexpr std::uint64_t count = 3000, segment_elements = 100;
  static constexpr std::byte fence{0xcd};

  Attacked() {
    exchange.enter_epoch(Epoch{5});
    op = exchange.start(key, schedule, {data(), data(), DataType::uint8, RedOp::sum});
  }
  ~Attacked() override {
    const auto is_fence = [](std::byte byte) { return byte == fence; };
    EXPECT_TRUE(std::all_of(memory.begin(), memory.begin() + margin, is_fence));
    EXPECT_TRUE(std::all_of(memory.end() - margin, memory.end(), is_fence));
  }
  std::byte* data() { return memory.data() + margin; }
  static constexpr OpKey tag(std::uint64_t value, std::uint64_t epoch = 5) {
    return {Epoch{epoch}, Tag{value}, Launch{0}};
  }
  Segment good(std::uint32_t position) const {
    return {key, position, static_cast<std::uint32_t>(schedule.received(position).count)};
  }
  bool begins(const Segment& segment) {
    std::string why;
    const bool accepted = exchange.segment_begins(segment, why);
    EXPECT_EQ(accepted, why.empty());
    return accepted;
  }
  // What a lane does with a frame whose payload comes in one piece.
  bool arrives(const Segment& segment, std::byte content = std::byte{1}) {
    if (!begins(segment)) return false;
    const auto place = exchange.destination(segment);
    std::fill(place.begin(), place.end(), content);
    exchange.segment_arrived(segment);
    return true;
  }

  const OpKey key = tag(1);
  test::Bytes memory = test::Bytes(count + 2 * margin, fence);
  plan::RingSchedule schedule{
      1, GetParam() ? 2u : 3u, count, segment_elements, limits::ring_depth, GetParam()};
  std::vector<OpKey> finished;
  Exchange exchange{[this](const OpKey& ended) { finished.push_back(ended); }};
  std::shared_ptr<RingOp> op;
};

INSTANTIATE_TEST_SUITE_P(RingAndPairwise, Attacked, testing::Bool(),
                         [](const auto& pairwise) { return pairwise.param ? "pairwise" : "ring"; });

TEST_P(Attacked, SegmentsOfUnknownOpsFillTheirBudgetAndNoMore) {
  for (const std::uint32_t length : {0u, 1u, 5000u, eager}) {
    Exchange fresh([](const OpKey&) {});
    fresh.enter_epoch(Epoch{5});
    const std::size_t before = pccl::test::live_bytes();
    std::string why;
    std::uint64_t accepted = 0;
    while (fresh.segment_begins({tag(accepted), 0, length}, why)) ASSERT_LT(++accepted, 100'000u);
    EXPECT_NE(why.find("eager budget"), std::string::npos) << why;
    for (std::uint64_t more = 0; more < 10'000; ++more)
      EXPECT_FALSE(fresh.segment_begins({tag(more), 1, length}, why));
    for (std::uint64_t more = 0; more < 10'000; ++more)  // one of a newer epoch ends those of older
      fresh.segment_begins({tag(more, 6 + more / 100), 1, length}, why);
    EXPECT_LT(pccl::test::live_bytes() - before, 3 * limits::eager_link_bytes) << length;
  }
}

TEST_P(Attacked, CreditForUnknownOpsIsBounded) {
  const std::size_t before = pccl::test::live_bytes();
  for (std::uint64_t value = 0; value < 100'000; ++value) {
    exchange.credit_arrived({tag(2 + value), 0xffffffff});
    exchange.credit_arrived({tag(1, value), 0xffffffff});
  }
  EXPECT_LT(pccl::test::live_bytes() - before, mebi);
}

TEST_P(Attacked, CreditBeyondTheEndChangesNothing) {
  exchange.credit_arrived({key, 0xffffffff});
  exchange.credit_arrived({key, 0});
  std::uint32_t segments = 0;
  while (const auto segment = exchange.next_segment()) {
    EXPECT_LT(segment->position, schedule.positions());
    ASSERT_LT(++segments, 100u);
  }
}

TEST_P(Attacked, OlderEpochsAreDiscarded) {
  for (const std::uint64_t epoch : {0u, 1u, 4u})
    for (const std::uint32_t length : {0u, 10u, eager}) {
      const Segment old{{Epoch{epoch}, Tag{1}, Launch{0}}, 0, length};
      EXPECT_TRUE(begins(old));
      EXPECT_TRUE(exchange.destination(old).empty());
      exchange.segment_arrived(old);
    }
}

TEST_P(Attacked, NewerEpochsAreParkedUntilTheyCome) {
  EXPECT_TRUE(arrives({tag(1, 6), 0, 100}));
  exchange.cancel(key);
  exchange.enter_epoch(Epoch{7});
  EXPECT_TRUE(begins({tag(1, 6), 0, 100})) << "history by now";
  EXPECT_TRUE(exchange.destination({tag(1, 6), 0, 100}).empty());
}

TEST_P(Attacked, PositionsThatDoNotExistAreDiscarded) {
  for (const std::uint32_t position :
       {schedule.positions(), schedule.positions() + 1, 0xffffffffu}) {
    const Segment wrong{key, position, 100};
    EXPECT_TRUE(begins(wrong));
    EXPECT_TRUE(exchange.destination(wrong).empty());
    exchange.segment_arrived(wrong);
  }
}

TEST_P(Attacked, WrongLengthsAreDiscarded) {
  for (const std::uint32_t length : {0u, 1u, 99u, 101u, eager}) {
    const Segment wrong{key, 0, length};
    EXPECT_TRUE(begins(wrong));
    EXPECT_TRUE(exchange.destination(wrong).empty()) << length;
    exchange.segment_arrived(wrong);
  }
  EXPECT_EQ(op->rx_bytes(), 0u);
  EXPECT_TRUE(arrives(good(0))) << "the right one still has its place";
  EXPECT_EQ(op->rx_bytes(), 100u);
}

TEST_P(Attacked, ASegmentTheSecondTimeIsDiscarded) {
  EXPECT_TRUE(arrives(good(0)));
  EXPECT_TRUE(begins(good(0)));
  EXPECT_TRUE(exchange.destination(good(0)).empty());
  exchange.segment_arrived(good(0));
  EXPECT_EQ(op->rx_bytes(), 100u);
}

// Two lanes, one position: a place is never handed out for more bytes than it has, since a lane
// goes on from the offset it has reached in its own frame.
TEST_P(Attacked, APlaceIsOnlyForAFrameOfItsLength) {
  const Segment longer{key, 0, 60'000};
  ASSERT_TRUE(begins(longer)) << "discarded, and half-way on its lane";
  EXPECT_TRUE(exchange.destination(longer).empty());
  ASSERT_TRUE(begins(good(0)));
  EXPECT_EQ(exchange.destination(good(0)).size(), 100u);
  EXPECT_TRUE(exchange.destination(longer).empty());
  exchange.segment_arrived(longer);
  EXPECT_TRUE(arrives({key, 0, 0}));
  EXPECT_EQ(op->rx_bytes(), 0u) << "the right one is still on its way";
  EXPECT_EQ(exchange.destination(good(0)).size(), 100u);
  exchange.segment_arrived(good(0));
  EXPECT_EQ(op->rx_bytes(), 100u);
}

// The same, with the first frame parked before the launch.
TEST_P(Attacked, AParkedPlaceIsOnlyForAFrameOfItsLength) {
  const OpKey late = tag(2);
  const Segment parked{late, 0, 60'000}, right{late, 0, 100};
  ASSERT_TRUE(begins(parked));
  EXPECT_EQ(exchange.destination(parked).size(), 60'000u);
  test::Bytes buffer(count);
  const auto running =
      exchange.start(late, schedule, {buffer.data(), buffer.data(), DataType::uint8, RedOp::sum});
  ASSERT_TRUE(begins(right));
  for (const Segment& segment : {parked, right}) {
    const auto place = exchange.destination(segment);
    EXPECT_TRUE(place.empty() || place.size() == segment.length) << place.size();
  }
  exchange.segment_arrived(parked);
  exchange.segment_arrived(right);
  EXPECT_EQ(running->rx_bytes(), 100u);
}

TEST_P(Attacked, ArrivalsThatNeverBeganAreNothing) {
  exchange.segment_arrived(good(0));
  exchange.segment_arrived({tag(9), 0, 10});
  exchange.segment_sent({tag(9), 0, 10});
  EXPECT_TRUE(exchange.payload({tag(9), 0, 10}).empty());
  EXPECT_EQ(op->rx_bytes(), 0u);
}

// Nobody reads our credit, and frames come without end.
TEST_P(Attacked, AFloodOfDiscardedFramesTakesNoMemory) {
  const std::size_t before = pccl::test::live_bytes();
  for (int frame = 0; frame < 200'000; ++frame) {
    arrives({key, 0, 0});
    exchange.credit_arrived({key, 1});
  }
  EXPECT_LT(pccl::test::live_bytes() - before, mebi);
}

// Small segments may come before credit, within what a sender's budget allows: each takes a block.
TEST_P(Attacked, EagerSegmentsBeyondTheSendersBudgetAreRefused) {
  constexpr std::uint64_t many = 40'000;
  test::Bytes buffer(2 * many);
  const plan::RingSchedule fine(0, 2, buffer.size(), 1, limits::ring_depth);
  exchange.start(tag(2), fine, {buffer.data(), buffer.data(), DataType::uint8, RedOp::sum});
  std::uint32_t accepted = 0;
  std::string why;
  while (accepted < many && exchange.segment_begins({tag(2), accepted, 1}, why)) ++accepted;
  EXPECT_EQ(accepted, limits::eager_op_bytes / limits::least_eager_cost_bytes);
}

// Anything at all, on both links, while an honest op of another tag goes on.
TEST(HostileStorm, LeavesHonestOpsAlone) {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    RingHarness ring({.world = 3, .lanes = 2, .seed = seed});
    const std::size_t op = ring.add({.key = op_key(1), .count = 5000, .segment_elements = 50});
    const std::size_t bait = ring.add({.key = op_key(2), .count = 5000, .segment_elements = 50});
    ring.launch_everywhere(op);
    ring.launch(0, bait);
    Rng& rng = ring.rng();
    std::vector<Segment> open;
    Exchange& victim = ring.exchange(0);
    for (int round = 0; round < 500; ++round) {
      const OpKey key =
          op_key(2 + rng.below(3), static_cast<std::uint32_t>(rng.below(2)), rng.below(3));
      const auto position = static_cast<std::uint32_t>(rng.below(450));
      constexpr std::uint32_t lengths[] = {0, 1, 200, 196, 60'000};
      const Segment segment{key, position, lengths[rng.below(5)]};
      std::string why;
      if (rng.chance(0.3)) {
        victim.credit_arrived({key, static_cast<std::uint32_t>(rng.next())});
      } else if (victim.segment_begins(segment, why)) {
        open.push_back(segment);
      }
      if (!open.empty() && rng.chance(0.7)) {
        const std::size_t which = rng.below(open.size());
        const auto place = victim.destination(open[which]);
        ASSERT_TRUE(place.empty() || place.size() == open[which].length);
        std::fill(place.begin(), place.end(), std::byte{0xee});
        victim.segment_arrived(open[which]);
        open.erase(open.begin() + static_cast<std::ptrdiff_t>(which));
      }
      if (round == 250) ring.cancel(0, bait);
      if (rng.chance(0.2)) ring.sweep();
    }
    ring.run_until_stalled();
    ring.expect_finished_with_right_result(op);
    ring.roll_back(0, bait);
  }
}

}  // namespace
}  // namespace pccl::collective
