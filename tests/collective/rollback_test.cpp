// The way back of an in-place op.
#include "collective/rollback.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace pccl::collective {
namespace {

std::vector<std::byte> some_bytes(std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::size_t at = 0; at < size; ++at) bytes[at] = static_cast<std::byte>(at * 7);
  return bytes;
}

TEST(Rollback, RestoresEveryStretchThatWasSaved) {
  BlockPool pool(0);
  Rollback rollback(pool);
  const auto original = some_bytes(1000);
  auto buffer = original;
  for (const auto& [at, size] : {std::pair{0u, 10u}, {500u, 499u}, {100u, 1u}, {999u, 1u}}) {
    rollback.save(buffer.data() + at, size);
    std::fill_n(buffer.begin() + at, size, std::byte{0});
  }
  EXPECT_NE(buffer, original);
  rollback.restore();
  EXPECT_EQ(buffer, original);
  std::fill_n(buffer.begin(), 10, std::byte{0});
  rollback.restore();
  EXPECT_EQ(buffer, original) << "restoring twice does no harm";
}

TEST(Rollback, SavesAWholeSegment) {
  BlockPool pool(0);
  Rollback rollback(pool);
  const auto original = some_bytes(limits::segment_bytes);
  auto buffer = original;
  rollback.save(buffer.data(), buffer.size());
  std::fill(buffer.begin(), buffer.end(), std::byte{1});
  rollback.restore();
  EXPECT_EQ(buffer, original);
}

TEST(Rollback, NothingIsKeptForNothing) {
  BlockPool pool(0);
  Rollback rollback(pool);
  rollback.save(nullptr, 0);
  EXPECT_EQ(pool.blocks_in_use(), 0u);
  rollback.restore();
}

TEST(Rollback, ForgettingGivesTheCopiesBack) {
  BlockPool pool(0);
  Rollback rollback(pool);
  auto buffer = some_bytes(100);
  rollback.save(buffer.data(), 50);
  rollback.save(buffer.data() + 50, 50);
  EXPECT_EQ(pool.blocks_in_use(), 2u);
  rollback.forget();
  EXPECT_EQ(pool.blocks_in_use(), 0u);
  const auto changed = buffer = std::vector<std::byte>(100);
  rollback.restore();
  EXPECT_EQ(buffer, changed) << "there is no way back any more";
}

TEST(Rollback, GivesItsCopiesBackWhenItEnds) {
  BlockPool pool(0);
  auto buffer = some_bytes(100);
  {
    Rollback rollback(pool);
    rollback.save(buffer.data(), 50);
  }
  EXPECT_EQ(pool.blocks_in_use(), 0u);
}

}  // namespace
}  // namespace pccl::collective
