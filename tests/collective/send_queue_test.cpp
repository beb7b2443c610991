#include "collective/send_queue.hpp"

#include <gtest/gtest.h>

#include <map>

#include "collective/ring_harness.hpp"

namespace pccl::collective {
namespace {

using test::op_key;

TEST(SendQueue, TheFewestBytesGoFirstAndEqualsInOrder) {
  SendQueue queue;
  EXPECT_TRUE(queue.empty());
  queue.put(op_key(3), 100);
  queue.put(op_key(2), 100);
  queue.put(op_key(1), 1000);
  queue.put(op_key(4), 10);
  for (const std::uint64_t tag : {4u, 2u, 3u, 1u}) {
    ASSERT_FALSE(queue.empty());
    EXPECT_EQ(queue.take(), op_key(tag));
  }
  EXPECT_TRUE(queue.empty());
}

TEST(SendQueue, ALargeOneMovesOnBesideAnyNumberOfSmallOnes) {
  SendQueue queue;
  std::map<OpKey, int> turns;
  queue.put(op_key(1), 1'000'000);
  queue.put(op_key(2), 100'000);
  queue.put(op_key(3), 10);
  for (int turn = 0; turn < 800; ++turn) {
    const OpKey op = queue.take();
    ++turns[op];
    queue.put(op, op == op_key(1) ? 1'000'000 : op == op_key(2) ? 100'000 : 10);
  }
  EXPECT_EQ(turns[op_key(1)], 100);
  EXPECT_EQ(turns[op_key(3)], 700);
}

// Ops of one size one after the other, but for the eighths.
TEST(SendQueue, OfOpsOfOneSizeTheOneThatHasBegunGoesOn) {
  SendQueue queue;
  std::map<OpKey, std::uint64_t> left;
  for (std::uint64_t tag = 0; tag < 8; ++tag) queue.put(op_key(tag), left[op_key(tag)] = 100);
  for (int turn = 0; turn < 70; ++turn) {
    const OpKey op = queue.take();
    queue.put(op, --left[op]);
  }
  EXPECT_LT(left[op_key(0)], 40u);
  for (std::uint64_t tag = 1; tag < 8; ++tag) EXPECT_GT(left[op_key(tag)], 90u) << tag;
}

}  // namespace
}  // namespace pccl::collective
