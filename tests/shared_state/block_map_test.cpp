// Every byte of every tensor lies in exactly one block, and few blocks are enough.
#include "shared_state/block_map.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

#include "base/limits.hpp"
#include "shared_state/state.hpp"

namespace pccl::shared_state {
namespace {

using Sizes = std::vector<std::uint64_t>;

constexpr std::uint64_t block = limits::smallest_state_block_bytes;

BlockMap cut(const Sizes& sizes, std::uint32_t smallest = block) {
  std::string why;
  auto map = BlockMap::cut(sizes, why, smallest);
  EXPECT_TRUE(map.has_value()) << why;
  return *map;
}

std::vector<Piece> pieces(const BlockMap& map, std::uint32_t index) {
  std::vector<Piece> all;
  map.for_each_piece(index, [&](const Piece& piece) { all.push_back(piece); });
  return all;
}

void expect_covered_once(const Sizes& sizes, const BlockMap& map) {
  Sizes reached(sizes.size(), 0);
  std::uint32_t tensor_before = 0;
  for (std::uint32_t index = 0; index < map.blocks(); ++index) {
    std::uint64_t length = 0;
    const auto all = pieces(map, index);
    ASSERT_FALSE(all.empty());
    for (const Piece& piece : all) {
      ASSERT_LT(piece.tensor, sizes.size());
      EXPECT_GE(piece.tensor, tensor_before);
      EXPECT_GT(piece.length, 0U);
      EXPECT_EQ(piece.offset, reached[piece.tensor]) << "block " << index;
      reached[piece.tensor] += piece.length;
      length += piece.length;
      tensor_before = piece.tensor;
      if (all.size() > 1) {
        EXPECT_EQ(piece.length, sizes[piece.tensor]) << "packed whole";
      }
    }
    EXPECT_EQ(length, map.length(index));
    EXPECT_LE(length, map.block_bytes());
    EXPECT_EQ(map.only_piece(index).has_value(), all.size() == 1);
  }
  EXPECT_EQ(reached, sizes);
  EXPECT_EQ(map.total_bytes(), std::accumulate(sizes.begin(), sizes.end(), std::uint64_t{0}));
}

// No two neighbouring packed blocks could have been one.
void expect_packed(const Sizes& sizes, const BlockMap& map) {
  for (std::uint32_t index = 1; index < map.blocks(); ++index) {
    const auto before = pieces(map, index - 1), here = pieces(map, index);
    const bool both_small = sizes[before.front().tensor] < map.block_bytes() &&
                            sizes[here.front().tensor] < map.block_bytes();
    if (both_small) {
      EXPECT_GT(map.length(index - 1) + here.front().length, map.block_bytes());
    }
  }
}

TEST(BlockMap, CoversEveryByteOnce) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed);
    const std::uint32_t smallest = seed % 2 == 0 ? 64 : block;
    const Sizes sizes = test::mixed_sizes(rng.below(60), smallest, rng);
    const BlockMap map = cut(sizes, smallest);
    EXPECT_EQ(map.block_bytes(), smallest);
    expect_covered_once(sizes, map);
    expect_packed(sizes, map);
  }
}

TEST(BlockMap, PartsOfABlockAreItsBytes) {
  Rng rng(1);
  const Sizes sizes = test::mixed_sizes(50, 256, rng);
  const test::State state(test::random_tensors(sizes, rng), 256);
  for (std::uint32_t index = 0; index < state.map.blocks(); ++index) {
    const test::Bytes whole = state.block(index);
    for (int part = 0; part < 5; ++part) {
      const auto offset = static_cast<std::uint32_t>(rng.below(whole.size()));
      test::Bytes bytes(1 + rng.below(whole.size() - offset));
      gather(state.views, state.map, index, offset, bytes);
      EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), whole.begin() + offset));
    }
  }
}

TEST(BlockMap, TinyTensorsAreAsCheapAsOneLarge) {
  EXPECT_EQ(cut(Sizes(10'000, 8)).blocks(), 1U);
  EXPECT_EQ(cut(Sizes(32'768, 8)).blocks(), 1U);
  EXPECT_EQ(cut(Sizes(32'769, 8)).blocks(), 2U);
}

TEST(BlockMap, LargeTensorsHaveBlocksOfTheirOwn) {
  const BlockMap map = cut({10, 3 * block + 1, 10, 0, 10, block, 10});
  ASSERT_EQ(map.blocks(), 8U);
  EXPECT_EQ(map.length(0), 10U);
  EXPECT_EQ(map.only_piece(1)->tensor, 1U);
  EXPECT_EQ(map.only_piece(4)->offset, 3 * block);
  EXPECT_EQ(map.length(4), 1U);
  EXPECT_FALSE(map.only_piece(5).has_value());
  EXPECT_EQ(map.length(5), 20U);
  EXPECT_EQ(map.only_piece(6)->tensor, 5U);
}

TEST(BlockMap, OfNothing) {
  EXPECT_EQ(cut({}).blocks(), 0U);
  EXPECT_EQ(cut({0, 0, 0}).blocks(), 0U);
  EXPECT_EQ(cut({0}).total_bytes(), 0U);
  EXPECT_EQ(BlockMap().block_bytes(), cut({}).block_bytes());
}

TEST(BlockMap, BlocksGrowWithTheState) {
  const std::uint64_t most = block << 20;
  EXPECT_EQ(cut({most}).block_bytes(), block);
  EXPECT_EQ(cut({most}).blocks(), 1U << 20);
  EXPECT_EQ(cut({most + 1}).block_bytes(), 2 * block);
  EXPECT_EQ(cut(Sizes(200, most)).block_bytes(), 256 * block);
  EXPECT_LE(cut(Sizes(200, most)).blocks(), limits::state_blocks);
}

TEST(BlockMap, TooMuchIsRefusedWithAReason) {
  for (const Sizes& sizes :
       {Sizes{std::uint64_t{1} << 63}, Sizes(3, std::uint64_t{1} << 62),
        Sizes{(std::uint64_t{64} << 40) + 1}, Sizes(limits::state_entries + 1, 1)}) {
    std::string why;
    EXPECT_FALSE(BlockMap::cut(sizes, why).has_value());
    EXPECT_FALSE(why.empty());
  }
}

}  // namespace
}  // namespace pccl::shared_state
