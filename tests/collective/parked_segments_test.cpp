// Segments that came before their op: kept whole and in order, never beyond the budget.
#include "collective/parked_segments.hpp"

#include <gtest/gtest.h>

#include "base/limits.hpp"
#include "base/live_bytes.hpp"
#include "collective/ring_harness.hpp"

namespace pccl::collective {
namespace {

using test::op_key;

constexpr std::uint32_t largest = limits::segment_bytes;

class ParkedSegmentsTest : public testing::Test {
 protected:
  BlockPool scratch{limits::rollback_pool_bytes};
};

void park(ParkedSegments& parked, const OpKey& op, std::uint32_t position, std::byte content,
          std::uint32_t length = 10) {
  ASSERT_TRUE(parked.expect(op, position, length));
  const auto place = parked.destination(op, position);
  ASSERT_EQ(place.size(), length);
  std::fill(place.begin(), place.end(), content);
  parked.arrived(op, position);
}

std::vector<std::uint32_t> taken(ParkedSegments& parked, const OpKey& op) {
  std::vector<std::uint32_t> positions;
  parked.take(op, [&](std::uint32_t position, std::span<const std::byte> bytes, BlockPool::Block&) {
    for (const std::byte byte : bytes) EXPECT_EQ(byte, static_cast<std::byte>(position));
    positions.push_back(position);
  });
  return positions;
}

TEST_F(ParkedSegmentsTest, AreDeliveredInOrderOfPosition) {
  ParkedSegments parked(2 * limits::eager_link_bytes, scratch);
  for (const std::uint32_t position : {5u, 1u, 3u})
    park(parked, op_key(1), position, static_cast<std::byte>(position));
  park(parked, op_key(2), 2, std::byte{2});
  EXPECT_EQ(taken(parked, op_key(1)), (std::vector<std::uint32_t>{1, 3, 5}));
  EXPECT_EQ(taken(parked, op_key(1)), (std::vector<std::uint32_t>{}));
  EXPECT_EQ(taken(parked, op_key(2)), (std::vector<std::uint32_t>{2}));
  EXPECT_EQ(parked.bytes(), 0u);
}

TEST_F(ParkedSegmentsTest, LongOnesLieInBlocksThatCanBeTakenAway) {
  ParkedSegments parked(2 * limits::eager_link_bytes, scratch);
  for (const std::uint32_t length : {10u, largest / 2 - 1, largest / 2, largest, largest + 1}) {
    SCOPED_TRACE(length);
    const bool in_block = length >= largest / 2 && length <= largest;
    park(parked, op_key(1), 3, std::byte{7}, length);
    EXPECT_EQ(scratch.blocks_in_use(), in_block ? 1u : 0u);
    const std::byte* const place = parked.destination(op_key(1), 3).data();
    BlockPool::Block mine;
    parked.take(op_key(1),
                [&](std::uint32_t, std::span<const std::byte> bytes, BlockPool::Block& block) {
                  EXPECT_EQ(bytes.size(), length);
                  EXPECT_EQ(static_cast<bool>(block), in_block);
                  if (block) mine = std::move(block);
                });
    if (in_block) {
      EXPECT_EQ(mine.data(), place);
      EXPECT_EQ(mine.data()[length - 1], std::byte{7});
    }
    EXPECT_EQ(scratch.blocks_in_use(), in_block ? 1u : 0u);
  }
  EXPECT_EQ(scratch.blocks_in_use(), 0u);
  EXPECT_EQ(parked.bytes(), 0u);
}

TEST_F(ParkedSegmentsTest, HalfOnesWaitUntilTheyAreWhole) {
  ParkedSegments parked(2 * limits::eager_link_bytes, scratch);
  ASSERT_TRUE(parked.expect(op_key(1), 4, 3));
  park(parked, op_key(1), 5, std::byte{5});
  EXPECT_EQ(taken(parked, op_key(1)), (std::vector<std::uint32_t>{5}));
  EXPECT_TRUE(parked.contains(op_key(1), 4));
  std::fill_n(parked.destination(op_key(1), 4).begin(), 3, std::byte{4});
  parked.arrived(op_key(1), 4);
  EXPECT_EQ(taken(parked, op_key(1)), (std::vector<std::uint32_t>{4}));
}

TEST_F(ParkedSegmentsTest, ASecondOfTheSamePositionIsRefused) {
  ParkedSegments parked(2 * limits::eager_link_bytes, scratch);
  ASSERT_TRUE(parked.expect(op_key(1), 4, 3));
  EXPECT_FALSE(parked.expect(op_key(1), 4, 3));
  EXPECT_TRUE(parked.expect(op_key(1, 1), 4, 3)) << "another launch";
  EXPECT_EQ(parked.destination(op_key(1), 4).size(), 3u);
}

TEST_F(ParkedSegmentsTest, UnknownOnesHaveNoPlace) {
  ParkedSegments parked(2 * limits::eager_link_bytes, scratch);
  EXPECT_TRUE(parked.destination(op_key(1), 0).empty());
  parked.arrived(op_key(1), 0);
  parked.drop(op_key(1));
  EXPECT_FALSE(parked.contains(op_key(1), 0));
}

TEST_F(ParkedSegmentsTest, AreDroppedByOpAndByEpoch) {
  ParkedSegments parked(2 * limits::eager_link_bytes, scratch);
  for (const std::uint64_t epoch : {1u, 2u, 3u})
    for (const std::uint64_t tag : {1u, 2u}) park(parked, op_key(tag, 0, epoch), 0, std::byte{0});
  parked.drop(op_key(1, 0, 2));
  EXPECT_FALSE(parked.contains(op_key(1, 0, 2), 0));
  EXPECT_TRUE(parked.contains(op_key(2, 0, 2), 0));
  parked.drop_before(Epoch{2});
  EXPECT_FALSE(parked.contains(op_key(1, 0, 1), 0));
  EXPECT_TRUE(parked.contains(op_key(2, 0, 2), 0));
  EXPECT_TRUE(parked.contains(op_key(1, 0, 3), 0));
  parked.drop_before(Epoch{9});
  EXPECT_EQ(parked.bytes(), 0u);
}

TEST_F(ParkedSegmentsTest, AnHonestSendersBudgetFits) {
  ParkedSegments parked(2 * limits::eager_link_bytes, scratch);
  std::size_t sent = 0;
  for (std::uint32_t position = 0; sent + largest <= limits::eager_link_bytes; ++position) {
    EXPECT_TRUE(parked.expect(op_key(1), position, largest));
    sent += largest;
  }
}

TEST_F(ParkedSegmentsTest, OfOlderEpochsMakeRoom) {
  ParkedSegments parked(3 * limits::least_eager_cost_bytes, scratch);
  park(parked, op_key(1, 0, 4), 0, std::byte{1});
  park(parked, op_key(1, 0, 5), 0, std::byte{2});
  park(parked, op_key(1, 0, 5), 1, std::byte{3});
  EXPECT_FALSE(parked.expect(op_key(1, 0, 4), 1, 10)) << "an older one does not";
  park(parked, op_key(1, 0, 5), 2, std::byte{4});
  EXPECT_FALSE(parked.contains(op_key(1, 0, 4), 0));
  EXPECT_TRUE(parked.contains(op_key(1, 0, 5), 0));
  EXPECT_FALSE(parked.expect(op_key(1, 0, 5), 3, 10));
}

TEST_F(ParkedSegmentsTest, AreBoundedInBytesAndNumber) {
  for (const std::uint32_t length : {0u, 1u, 1000u, largest}) {
    const std::size_t before = pccl::test::live_bytes();
    ParkedSegments parked(2 * limits::eager_link_bytes, scratch);
    std::uint64_t accepted = 0;
    while (parked.expect(op_key(accepted), 7, length)) {
      ASSERT_LT(++accepted, 100'000u) << "there must be an end";
    }
    EXPECT_LE(parked.bytes(), 2 * limits::eager_link_bytes);
    EXPECT_LT(pccl::test::live_bytes() - before, 3 * limits::eager_link_bytes) << length;
    EXPECT_GE(accepted * limits::eager_cost(length), limits::eager_link_bytes)
        << "an honest sender's budget";
  }
}

}  // namespace
}  // namespace pccl::collective
