// Flow control: nobody sends beyond its credit (RingHarness checks every segment), and no window
// that is ever granted stops the ring.
#include <gtest/gtest.h>

#include "base/limits.hpp"
#include "collective/ring_all_reduce.hpp"
#include "collective/ring_harness.hpp"

namespace pccl::collective {
namespace {

using test::op_key;
using test::RingHarness;

class Credit : public testing::TestWithParam<std::uint32_t> {
 protected:
  const std::uint32_t world = GetParam();
};
INSTANTIATE_TEST_SUITE_P(Worlds, Credit, testing::Range(2u, 9u));

TEST_P(Credit, AloneKeepsTheRingGoing) {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    RingHarness ring(
        {.world = world, .lanes = 1 + static_cast<std::uint32_t>(seed % 3), .seed = seed});
    ring.exhaust_budgets(false);
    const std::size_t op = ring.add({.count = 25 * 8 * world,
                                     .in_place = true,
                                     .segment_elements = 8,
                                     .pairwise = world == 2 && seed % 2 == 1});
    ring.launch_everywhere(op);
    ring.run_until_stalled();
    ring.expect_finished_with_right_result(op);
    EXPECT_GT(ring.credits_delivered(), world) << "credit was needed";
  }
}

// With all shared scratch in use each op gets a window of depth + 1 and no more.
TEST_P(Credit, OfThePrivateMinimumKeepsTheRingGoing) {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    RingHarness ring(
        {.world = world, .lanes = 1 + static_cast<std::uint32_t>(seed % 3), .seed = seed});
    ring.exhaust_budgets(true);
    const std::size_t slices = 5 + 4 * seed;
    const std::size_t op = ring.add({.count = slices * 8 * world,
                                     .in_place = true,
                                     .segment_elements = 8,
                                     .pairwise = world == 2 && seed % 2 == 1});
    ring.launch_everywhere(op);
    ring.run_until_stalled();
    ring.expect_finished_with_right_result(op);
  }
}

TEST_P(Credit, OfThePrivateMinimumKeepsManyOpsGoing) {
  RingHarness ring({.world = world, .lanes = 2, .seed = world});
  ring.exhaust_budgets(true);
  std::vector<std::size_t> ops;
  for (std::uint64_t tag = 0; tag < 10; ++tag)
    ops.push_back(ring.add({.key = op_key(tag),
                            .count = (9 + tag) * 8 * world,
                            .in_place = tag % 4 < 2,
                            .segment_elements = 8,
                            .pairwise = world == 2 && tag % 2 == 1}));
  for (std::uint32_t rank = 0; rank < world; ++rank)
    for (std::size_t op = 0; op < ops.size(); ++op)
      ring.launch(rank, ops[rank % 2 == 0 ? op : ops.size() - 1 - op]);
  ring.run_until_stalled();
  for (const std::size_t op : ops) ring.expect_finished_with_right_result(op);
}

// ---- one rank, by hand

struct OneRank {
  explicit OneRank(std::uint64_t slices, std::uint64_t segment_elements = 100'000,
                   std::uint32_t depth = 8)
      : buffer(2 * slices * segment_elements),
        schedule(0, 2, buffer.size(), segment_elements, depth) {
    exchange.enter_epoch(Epoch{1});
    op = exchange.start(key, schedule, {buffer.data(), buffer.data(), DataType::uint8, RedOp::sum});
  }
  std::size_t segments_waiting() {
    std::size_t count = 0;
    while (exchange.next_segment()) ++count;
    return count;
  }
  Segment segment(std::uint32_t position) const {
    return {key, position, static_cast<std::uint32_t>(schedule.received(position).count)};
  }
  const OpKey key = op_key(1);
  std::vector<std::uint8_t> buffer;
  plan::RingSchedule schedule;
  Exchange exchange{[](const OpKey&) {}};
  std::shared_ptr<RingOp> op;
};

TEST(CreditOfOneRank, NothingLeavesWithoutItBeyondTheEagerBudget) {
  OneRank rank(20, limits::segment_bytes, 20);  // one wave
  EXPECT_EQ(rank.segments_waiting(), 8u) << "2 MiB";
  rank.exchange.credit_arrived({rank.key, 11});
  EXPECT_EQ(rank.segments_waiting(), 3u);
  rank.exchange.credit_arrived({rank.key, 2});
  EXPECT_EQ(rank.segments_waiting(), 0u) << "credit is never taken back, nor given twice";
  rank.exchange.credit_arrived({rank.key, 0xffffffff});
  EXPECT_EQ(rank.segments_waiting(), 9u) << "the rest of step 0 of the first wave: more needs data";
}

TEST(CreditOfOneRank, TheFirstSegmentsLeaveEagerlyWithinTheBudgetsOfOpAndLink) {
  OneRank small(200, 60'000, 200);
  EXPECT_EQ(small.segments_waiting(), limits::eager_op_bytes / 60'000);
  OneRank tiny(1000, 1, 1000);
  const std::size_t of_an_op = limits::eager_op_bytes / limits::least_eager_cost_bytes;
  EXPECT_EQ(tiny.segments_waiting(), of_an_op);
  for (std::uint64_t tag = 2; tag < 5; ++tag)
    tiny.exchange.start(op_key(tag), tiny.schedule,
                        {tiny.buffer.data(), tiny.buffer.data(), DataType::uint8, RedOp::sum});
  EXPECT_EQ(tiny.segments_waiting(), of_an_op) << "the rest of the link's";
}

TEST(CreditOfOneRank, TheWindowIsTwiceTheDepthAndShrinksWhenScratchIsShort) {
  OneRank rank(40);
  const auto first = rank.exchange.next_credit();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->limit, 16u);
  EXPECT_FALSE(rank.exchange.next_credit());

  BlockPool scratch(0), rollback(0);
  std::vector<BlockPool::Block> taken;
  for (std::size_t block = 0; block < limits::shared_scratch_bytes / limits::segment_bytes; ++block)
    taken.push_back(scratch.take());
  RingAllReduce tight(rank.schedule, {rank.buffer.data(), rank.buffer.data()}, scratch, rollback);
  EXPECT_EQ(tight.receive_limit(), 9u);
  taken.clear();
  EXPECT_EQ(tight.receive_limit(), 16u);
  taken.resize(1);
  EXPECT_EQ(tight.receive_limit(), 16u) << "never falls";
}

TEST(CreditOfOneRank, ASegmentAboveItAndTheEagerBudgetBreaksTheProtocol) {
  OneRank rank(20, 100'000);
  const std::uint32_t eager = limits::eager_op_bytes / 100'000;
  std::string why;
  for (std::uint32_t position = 0; position < eager; ++position)
    ASSERT_TRUE(rank.exchange.segment_begins(rank.segment(position), why)) << why;
  EXPECT_FALSE(rank.exchange.segment_begins(rank.segment(eager), why)) << "no credit announced yet";
  EXPECT_NE(why.find("without credit"), std::string::npos) << why;
  const auto credit = rank.exchange.next_credit();
  ASSERT_TRUE(credit);
  EXPECT_TRUE(rank.exchange.segment_begins(rank.segment(credit->limit - 1), why)) << why;
  EXPECT_FALSE(rank.exchange.segment_begins(rank.segment(credit->limit + eager), why));
}

}  // namespace
}  // namespace pccl::collective
