// An op that is cancelled at any moment leaves its buffers alone from then on, and an in-place
// buffer gets its input back, bit for bit.
#include <gtest/gtest.h>

#include "base/limits.hpp"
#include "collective/ring_harness.hpp"

namespace pccl::collective {
namespace {

using test::op_key;
using test::OpCase;
using test::RingHarness;

// All ranks cancel, each at its own moment; lanes go on with what is half-way.
void cancel_somewhere(const test::RingOptions& options, const OpCase& what, std::uint64_t sweeps) {
  SCOPED_TRACE(testing::Message() << "seed " << options.seed << ", world " << options.world);
  RingHarness ring(options);
  const std::size_t op = ring.add(what);
  ring.launch_everywhere(op);
  for (std::uint64_t sweep = ring.rng().below(sweeps); sweep > 0; --sweep) ring.sweep();
  for (std::uint32_t rank = 0; rank < options.world; ++rank) {
    ring.cancel(rank, op);
    ring.roll_back(rank, op);
    for (std::uint64_t sweep = ring.rng().below(5); sweep > 0; --sweep) ring.sweep();
  }
  ring.run_until_stalled();
  for (std::uint32_t rank = 0; rank < options.world; ++rank)
    ring.expect_untouched_since_roll_back(rank, op);

  // The exchange is as good as new.
  const std::size_t again = ring.add({.key = op_key(1, 1), .count = 500, .in_place = true});
  ring.launch_everywhere(again);
  ring.run_until_stalled();
  ring.expect_finished_with_right_result(again);
}

TEST(Cancel, AtAnyMomentRestoresTheInput) {
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    const auto world = 2 + static_cast<std::uint32_t>(seed % 7);
    cancel_somewhere({.world = world,
                      .lanes = 1 + static_cast<std::uint32_t>(seed % 3),
                      .seed = seed,
                      .largest_piece = 200,
                      .gpus = test::gpus_of(seed / 7, world)},
                     {.count = 3000 + seed,
                      .in_place = seed % 4 != 0,
                      .segment_elements = 64,
                      .pairwise = world == 2 && seed % 2 == 0},
                     120);
    if (HasFailure()) return;
  }
}

TEST(Cancel, OfLargeSegmentsRestoresTheInput) {
  for (std::uint64_t seed = 0; seed < 25; ++seed) {
    const auto world = 2 + static_cast<std::uint32_t>(seed % 3);
    cancel_somewhere(
        {.world = world, .lanes = 2, .seed = seed, .gpus = test::gpus_of(seed / 3, world)},
        {.count = 1 << 20,
         .type = DataType::float32,
         .in_place = true,
         .pairwise = world == 2 && seed % 2 == 0},
        150);
    if (HasFailure()) return;
  }
}

// Finished here, void by verdict: another rank was lost before it was done.
TEST(Cancel, AfterTheEndRestoresTheInput) {
  for (std::uint32_t world = 2; world <= 8; ++world) {
    RingHarness ring(
        {.world = world, .lanes = 2, .seed = world, .gpus = test::gpus_of(world, world)});
    const std::size_t op = ring.add({.count = 5000, .in_place = true, .segment_elements = 100});
    ring.launch_everywhere(op);
    ring.run_until_stalled();
    ASSERT_TRUE(ring.finished_everywhere(op));
    for (std::uint32_t rank = 0; rank < world; ++rank) ring.roll_back(rank, op);
  }
}

TEST(Cancel, BeforeAnythingMovedChangesNothing) {
  RingHarness ring({.world = 2});
  const std::size_t op = ring.add({.count = 5000, .in_place = true, .segment_elements = 100});
  ring.launch_everywhere(op);
  ring.cancel(0, op);
  ring.cancel(1, op);
  EXPECT_FALSE(ring.exchange(0).next_segment());
  EXPECT_FALSE(ring.exchange(0).next_credit());
  ring.expect_input_restored(0, op);
}

TEST(Cancel, OfOneAmongManyLeavesTheOthersAlone) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    RingHarness ring({.world = 3,
                      .lanes = 2,
                      .seed = seed,
                      .largest_piece = 500,
                      .gpus = test::gpus_of(seed, 3)});
    std::vector<std::size_t> ops;
    for (std::uint64_t tag = 0; tag < 20; ++tag)
      ops.push_back(ring.add(
          {.key = op_key(tag), .count = 800, .in_place = tag % 2 == 0, .segment_elements = 40}));
    for (const std::size_t op : ops) ring.launch_everywhere(op);
    for (std::uint64_t sweep = ring.rng().below(100); sweep > 0; --sweep) ring.sweep();
    for (std::uint32_t rank = 0; rank < 3; ++rank)
      for (const std::size_t op : ops)
        if (op % 4 == 0) {
          ring.cancel(rank, op);
          ring.roll_back(rank, op);
        }
    ring.run_until_stalled();
    for (const std::size_t op : ops) {
      if (op % 4 != 0) {
        ring.expect_finished_with_right_result(op);
      } else {
        for (std::uint32_t rank = 0; rank < 3; ++rank)
          ring.expect_untouched_since_roll_back(rank, op);
      }
    }
  }
}

// Ops that are void before this rank launches them, more than the budget has room for: the harness
// sees that what is parked here does not add up to a broken link.
TEST(Cancel, OfEagerOpsThatWereNeverLaunchedHereDoesNotAddUp) {
  RingHarness ring({.world = 2});
  for (std::uint32_t tag = 0; tag < 10; ++tag) {
    const std::size_t op =
        ring.add({.key = op_key(tag), .count = 480 << 10, .type = DataType::uint8});
    ring.launch(0, op);
    ring.run_until_stalled();
    ring.cancel(0, op);
    ring.exchange(1).pass_over(op_key(tag));  // the verdict has come here, too
  }
}

// The next rank may keep it parked until it hears of the next epoch.
TEST(Cancel, LeavesWhatHasGoneEagerlyCountedUntilTheNextEpoch) {
  RingHarness ring({.world = 2});
  Exchange& sender = ring.exchange(0);
  const auto launch = [&](std::uint64_t tag, std::uint64_t epoch) {
    const std::size_t op = ring.add({.key = op_key(tag, 0, epoch),
                                     .count = 4 * limits::eager_op_bytes,
                                     .type = DataType::uint8});
    ring.launch(0, op);
    return op;
  };
  for (std::uint64_t tag = 0; tag < limits::eager_link_bytes / limits::eager_op_bytes; ++tag) {
    const std::size_t op = launch(tag, 1);
    EXPECT_TRUE(sender.next_segment()) << tag;
    ring.cancel(0, op);
  }
  const std::size_t late = launch(100, 1);
  EXPECT_FALSE(sender.next_segment());
  ring.cancel(0, late);
  sender.enter_epoch(Epoch{2});
  launch(1, 2);
  EXPECT_TRUE(sender.next_segment());
}

}  // namespace
}  // namespace pccl::collective
