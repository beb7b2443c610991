// Blocks come back to their pool once, whatever is moved where, and the pool keeps no more than
// told.
#include "collective/block_pool.hpp"

#include <gtest/gtest.h>

#include <cstring>

namespace pccl::collective {
namespace {

TEST(BlockPool, CountsTheBlocksInUse) {
  BlockPool pool(10 * limits::segment_bytes);
  {
    const BlockPool::Block a = pool.take(), b = pool.take();
    EXPECT_EQ(pool.blocks_in_use(), 2u);
    EXPECT_TRUE(a);
    EXPECT_NE(a.data(), b.data());
  }
  EXPECT_EQ(pool.blocks_in_use(), 0u);
}

TEST(BlockPool, ABlockIsWritableToItsEndAndAligned) {
  BlockPool pool(0);
  const BlockPool::Block block = pool.take();
  std::memset(block.data(), 0x5a, limits::segment_bytes);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block.data()) % 64, 0u);
}

TEST(BlockPool, MovingKeepsTheCount) {
  BlockPool pool(10 * limits::segment_bytes);
  BlockPool::Block a = pool.take();
  std::byte* const memory = a.data();
  BlockPool::Block b = std::move(a);
  EXPECT_FALSE(a);  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(b.data(), memory);
  EXPECT_EQ(pool.blocks_in_use(), 1u);
  b = pool.take();
  EXPECT_EQ(pool.blocks_in_use(), 1u) << "what b held went back";
  BlockPool::Block& self = b;
  b = std::move(self);
  EXPECT_TRUE(b);
  EXPECT_EQ(pool.blocks_in_use(), 1u);
  b = BlockPool::Block();
  EXPECT_EQ(pool.blocks_in_use(), 0u);
  a = pool.take();
  EXPECT_EQ(pool.blocks_in_use(), 1u) << "an emptied block can be filled again";
}

TEST(BlockPool, BlocksMoveBetweenPoolsWithTheirOwner) {
  BlockPool left(limits::segment_bytes), right(limits::segment_bytes);
  BlockPool::Block block = left.take();
  block = right.take();
  EXPECT_EQ(left.blocks_in_use(), 0u);
  EXPECT_EQ(right.blocks_in_use(), 1u);
}

TEST(BlockPool, KeepsFreedMemoryUpToItsBound) {
  BlockPool pool(2 * limits::segment_bytes);
  std::byte* kept = nullptr;
  {
    const BlockPool::Block a = pool.take();
    kept = a.data();
  }
  EXPECT_EQ(pool.take().data(), kept);

  BlockPool none(0);
  { const BlockPool::Block a = none.take(); }
  EXPECT_EQ(none.blocks_in_use(), 0u);
  EXPECT_TRUE(none.take());
}

}  // namespace
}  // namespace pccl::collective
