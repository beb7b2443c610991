// Identities: they compare by value, do not mix, and have one spelling in logs.
#include "base/ids.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <type_traits>
#include <unordered_set>

namespace pccl {
namespace {

static_assert(!std::is_convertible_v<std::uint64_t, Epoch>);
static_assert(!std::is_convertible_v<Epoch, Tag>);
static_assert(!std::is_assignable_v<Epoch&, Tag>);
static_assert(!std::is_constructible_v<Epoch, Tag>);

TEST(StrongId, StartsAtZeroAndCountsUp) {
  EXPECT_EQ(Epoch{}.value, 0u);
  EXPECT_EQ(Epoch{7}.next(), Epoch{8});
  EXPECT_LT(Launch{1}, Launch{2});
  EXPECT_EQ(Launch{std::numeric_limits<std::uint32_t>::max()}.next(), Launch{0});
}

TEST(StrongId, IsAKeyOfHashedContainers) {
  const std::unordered_set<Tag> tags{Tag{1}, Tag{2}, Tag{1}};
  EXPECT_EQ(tags.size(), 2u);
  EXPECT_TRUE(tags.contains(Tag{2}));
}

TEST(PeerId, IsNobodyWhenAllBitsAreZero) {
  EXPECT_FALSE(PeerId{});
  EXPECT_TRUE((PeerId{0, 1}));
  EXPECT_TRUE((PeerId{1, 0}));
}

TEST(PeerId, OrdersByHighThenLow) {
  EXPECT_LT((PeerId{1, 9}), (PeerId{2, 0}));
  EXPECT_LT((PeerId{1, 8}), (PeerId{1, 9}));
}

TEST(PeerId, HasAFullAndAShortSpelling) {
  const PeerId peer{0x0123456789abcdef, 0xfe};
  EXPECT_EQ(to_string(peer), "0123456789abcdef00000000000000fe");
  EXPECT_EQ(short_name(peer), "01234567");
  EXPECT_EQ(short_name(PeerId{}), "00000000");
}

TEST(PeerId, HashesTheSwappedHalvesApart) {
  const std::hash<PeerId> hash;
  EXPECT_NE(hash({1, 2}), hash({2, 1}));
  EXPECT_EQ(hash({1, 2}), hash({1, 2}));
}

TEST(OpKey, OrdersByEpochThenTagThenLaunch) {
  const OpKey key{Epoch{2}, Tag{5}, Launch{1}};
  EXPECT_LT((OpKey{Epoch{1}, Tag{9}, Launch{9}}), key);
  EXPECT_LT((OpKey{Epoch{2}, Tag{4}, Launch{9}}), key);
  EXPECT_LT((OpKey{Epoch{2}, Tag{5}, Launch{0}}), key);
  EXPECT_EQ(to_string(key), "tag 5 (launch 1, epoch 2)");
}

}  // namespace
}  // namespace pccl
