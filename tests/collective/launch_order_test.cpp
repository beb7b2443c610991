// Peers launch when their application comes to it: late, in another order, many at once.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "base/limits.hpp"
#include "collective/ring_harness.hpp"

namespace pccl::collective {
namespace {

using test::op_key;
using test::OpCase;
using test::RingHarness;

constexpr std::uint64_t kibi = 1024;

std::vector<std::size_t> shuffled(std::size_t count, Rng& rng) {
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (std::size_t left = count; left > 1; --left)
    std::swap(order[left - 1], order[rng.below(left)]);
  return order;
}

class LateLaunch : public testing::TestWithParam<std::uint32_t> {};
INSTANTIATE_TEST_SUITE_P(Worlds, LateLaunch, testing::Range(2u, 9u));

// Everything that can move without the late rank moves first: small segments are parked there,
// credit comes to it before its launch.
TEST_P(LateLaunch, OfOneRankEndsWell) {
  const std::uint32_t world = GetParam();
  for (const std::uint64_t chunk_bytes : {0 * kibi, 4 * kibi, 300 * kibi, 1100 * kibi})
    for (const std::uint32_t late : {0u, world - 1}) {
      SCOPED_TRACE(testing::Message() << chunk_bytes << " late " << late);
      RingHarness ring({.world = world, .lanes = 1 + late % 3, .seed = chunk_bytes + late});
      const std::size_t op = ring.add({.count = chunk_bytes / 4 * world, .in_place = late == 0});
      for (std::uint32_t rank = 0; rank < world; ++rank)
        if (rank != late) ring.launch(rank, op);
      ring.run_until_stalled();
      EXPECT_FALSE(ring.finished((late + 1) % world, op));
      ring.launch(late, op);
      ring.run_until_stalled();
      ring.expect_finished_with_right_result(op);
    }
}

TEST_P(LateLaunch, OfAllRanksButOneEndsWell) {
  const std::uint32_t world = GetParam();
  for (const std::uint64_t chunk_bytes : {4 * kibi, 1100 * kibi}) {
    RingHarness ring({.world = world, .lanes = 2, .seed = chunk_bytes});
    const std::size_t op = ring.add({.count = chunk_bytes / 4 * world});
    for (std::uint32_t early = 0; early < world; ++early) {
      ring.launch(early, op);
      ring.run_until_stalled();
    }
    ring.expect_finished_with_right_result(op);
  }
}

// A segment is half-way on its lane when the launch comes.
TEST(LaunchInMidSegment, LosesNothing) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    RingHarness ring({.world = 3, .lanes = 2, .seed = seed, .largest_piece = 50});
    const std::size_t op = ring.add({.count = 700, .in_place = true, .segment_elements = 60});
    for (const std::uint32_t rank : {0u, 1u, 2u}) {
      ring.launch((rank + static_cast<std::uint32_t>(seed)) % 3, op);
      for (std::uint64_t sweeps = ring.rng().below(12); sweeps > 0; --sweeps) ring.sweep();
    }
    ring.run_until_stalled();
    ring.expect_finished_with_right_result(op);
  }
}

TEST(ManyOps, OfDifferentSizesInDifferentOrdersAllEnd) {
  constexpr std::size_t count = 100;
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    RingHarness ring({.world = 2 + static_cast<std::uint32_t>(seed), .lanes = 2, .seed = seed});
    for (std::size_t op = 0; op < count; ++op)
      ring.add({.key = op_key(op / 2, op % 2),
                .count = op % 10 == 0 ? 200 * kibi * ring.world() : ring.rng().below(5000),
                .type = op % 3 == 0 ? DataType::float32 : DataType::uint8,
                .in_place = op % 2 == 0});
    // Launches of one tag come in order, tags in any.
    for (std::uint32_t rank = 0; rank < ring.world(); ++rank)
      for (const std::size_t tag : shuffled(count / 2, ring.rng()))
        for (const std::size_t op : {2 * tag, 2 * tag + 1}) {
          ring.launch(rank, op);
          if (ring.rng().chance(0.3)) ring.sweep();
        }
    ring.run_until_stalled();
    for (std::size_t op = 0; op < count; ++op) ring.expect_finished_with_right_result(op);
  }
}

// More parallel work than there is shared scratch: ops get their private minimum, and that is
// enough.
TEST(ManyOps, LargeOnesInOppositeOrdersAllEnd) {
  constexpr std::size_t count = 8;
  RingHarness ring({.world = 4, .lanes = 2, .seed = 3});
  for (std::size_t op = 0; op < count; ++op)
    ring.add({.key = op_key(op), .count = 1100 * kibi / 4 * 4, .in_place = true});
  for (std::uint32_t rank = 0; rank < 4; ++rank)
    for (std::size_t op = 0; op < count; ++op)
      ring.launch(rank, rank % 2 == 0 ? op : count - 1 - op);
  ring.run_until_stalled();
  for (std::size_t op = 0; op < count; ++op) ring.expect_finished_with_right_result(op);
}

// The op at the front of the queue does not hold up a smaller one.
TEST(ManyOps, ASmallOpPassesALargeOneBy) {
  RingHarness ring({.world = 2});
  const std::size_t a = ring.add({.key = op_key(1), .count = 100, .segment_elements = 5});
  const std::size_t b = ring.add({.key = op_key(2), .count = 30, .segment_elements = 5});
  ring.launch(0, a);
  ring.launch(0, b);
  std::vector<std::uint64_t> tags;
  for (int segment = 0; segment < 7; ++segment)
    tags.push_back(ring.exchange(0).next_segment()->op.tag.value);
  EXPECT_EQ(tags, (std::vector<std::uint64_t>{2, 2, 2, 1, 1, 1, 1}));
}

// ---- ops that each fill a short link

struct TwoLargeOps {
  RingHarness ring{{.world = 2}};
  std::size_t first = ring.add({.key = op_key(1), .count = 1 << 20});
  std::size_t second = ring.add({.key = op_key(2), .count = 1 << 20});

  std::uint64_t tag_of_next_segment(std::uint32_t rank) {
    const auto segment = ring.exchange(rank).next_segment();
    return segment ? segment->op.tag.value : 0;
  }
  void expect_both_end_well() {
    ring.run_until_stalled();
    ring.expect_finished_with_right_result(first);
    ring.expect_finished_with_right_result(second);
  }
};

// The next one's credit is not even told before the first has been sent.
TEST(LargeOps, TakeTurns) {
  TwoLargeOps ops;
  for (const std::size_t op : {ops.first, ops.second}) ops.ring.launch_everywhere(op);
  Exchange& exchange = ops.ring.exchange(0);
  const auto credit = exchange.next_credit();
  ASSERT_TRUE(credit);
  EXPECT_EQ(credit->op, op_key(1));
  EXPECT_FALSE(exchange.next_credit()) << "the second has begun";
  EXPECT_EQ(ops.tag_of_next_segment(1), 1u);
}

TEST(LargeOps, InTurnAllEnd) {
  TwoLargeOps ops;
  for (const std::size_t op : {ops.first, ops.second}) ops.ring.launch_everywhere(op);
  ops.expect_both_end_well();
}

TEST(LargeOps, LaunchedInOppositeOrdersBothBegin) {
  TwoLargeOps ops;
  ops.ring.launch(0, ops.first);
  ops.ring.launch(0, ops.second);
  ops.ring.launch(1, ops.second);
  ops.ring.launch(1, ops.first);
  ops.expect_both_end_well();
}

// Rank 1 comes to the first one only when the second has ended.
TEST(LargeOps, DoNotWaitForOneThatOthersLaunchLater) {
  TwoLargeOps ops;
  ops.ring.launch(0, ops.first);
  ops.ring.launch(0, ops.second);
  ops.ring.launch(1, ops.second);
  ops.ring.run_until_stalled();
  ops.ring.expect_finished_with_right_result(ops.second);
  ops.ring.launch(1, ops.first);
  ops.expect_both_end_well();
}

TEST(LargeOps, BeginWhenTheOneBeforeIsCancelled) {
  TwoLargeOps ops;
  for (const std::size_t op : {ops.first, ops.second}) ops.ring.launch_everywhere(op);
  ops.ring.cancel(0, ops.first);
  ops.ring.cancel(1, ops.first);
  ops.ring.run_until_stalled();
  ops.ring.expect_finished_with_right_result(ops.second);
}

TEST(LargeOps, DoNotHoldUpShorterOnes) {
  TwoLargeOps ops;
  const std::size_t shorter = ops.ring.add({.key = op_key(3), .count = 1 << 19});
  ops.ring.launch(0, ops.first);
  ops.ring.launch(0, shorter);
  EXPECT_EQ(ops.tag_of_next_segment(0), 3u);
}

// On a long way several are needed to fill the link.
TEST(LargeOps, BeginAtOnceOnALongLink) {
  Exchange exchange([](const OpKey&) {});
  exchange.enter_epoch(Epoch{1});
  std::vector<std::int32_t> buffer(1 << 20);
  const Operand operand{buffer.data(), buffer.data(), DataType::int32, RedOp::sum};
  for (const std::uint64_t tag : {1, 2})
    exchange.start(op_key(tag),
                   schedule_of(0, 2, buffer.size(), operand, 2 * limits::short_link_rtt), operand);
  ASSERT_TRUE(exchange.next_credit());
  const auto second = exchange.next_credit();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->op, op_key(2));
}

TEST(NewEpoch, StartsAfreshWithTheSameTags) {
  RingHarness ring({.world = 3, .lanes = 2});
  const std::size_t before = ring.add({.count = 3000, .segment_elements = 100});
  ring.launch(0, before);
  ring.launch(1, before);
  for (int sweeps = 0; sweeps < 20; ++sweeps) ring.sweep();
  for (std::uint32_t rank = 0; rank < 3; ++rank) {
    ring.cancel(rank, before);
    ring.exchange(rank).enter_epoch(Epoch{2});
  }
  // Frames of the old epoch are still on the lanes.
  const std::size_t after =
      ring.add({.key = op_key(1, 0, 2), .count = 2000, .segment_elements = 100});
  ring.launch_everywhere(after);
  ring.run_until_stalled();
  ring.expect_finished_with_right_result(after);
}

// Two neighbours learn of an epoch at different times: what comes early is parked, also across the
// change.
TEST(NewEpoch, MayBeKnownToThePreviousRankFirst) {
  RingHarness ring({.world = 2});
  const std::size_t op = ring.add({.key = op_key(1, 0, 2), .count = 2000, .segment_elements = 100});
  ring.exchange(0).enter_epoch(Epoch{2});
  ring.launch(0, op);
  ring.run_until_stalled();
  ring.exchange(1).enter_epoch(Epoch{2});
  ring.launch(1, op);
  ring.run_until_stalled();
  ring.expect_finished_with_right_result(op);
}

// The link from the previous rank was replaced while credit was on its way on the old one.
TEST(ReplacedLink, GetsItsCreditAgain) {
  RingHarness ring({.world = 2});
  const std::size_t op = ring.add({.count = 4 << 20});
  ring.exhaust_budgets(false);
  ring.launch_everywhere(op);
  const auto lost = ring.exchange(1).next_credit();
  ASSERT_TRUE(lost);
  EXPECT_FALSE(ring.exchange(1).next_credit());
  ring.exchange(1).previous_link_replaced();
  EXPECT_TRUE(ring.exchange(1).has_credit_to_send());
  ring.run_until_stalled();
  ring.expect_finished_with_right_result(op);
}

// The sender still has the credit of the old link, and goes on at once on the new one.
TEST(ReplacedLink, TakesBackNoCredit) {
  RingHarness ring({.world = 2});
  const std::size_t op = ring.add({.count = 4 << 20});
  ring.launch_everywhere(op);
  ring.exchange(0).credit_arrived(*ring.exchange(1).next_credit());
  ring.exchange(1).previous_link_replaced();
  const auto segment = ring.exchange(0).next_segment();
  ASSERT_TRUE(segment);
  std::string why;
  EXPECT_TRUE(ring.exchange(1).segment_begins(*segment, why)) << why;
}

}  // namespace
}  // namespace pccl::collective
