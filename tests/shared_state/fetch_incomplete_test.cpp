// A fetch that is abandoned tells which tensors are neither what they were nor what was elected.
#include <gtest/gtest.h>

#include <algorithm>

#include "shared_state/direct_fetch.hpp"
#include "shared_state/fetch_harness.hpp"

namespace pccl::shared_state {
namespace {

using test::DirectFetch;
using Incomplete = std::vector<std::uint32_t>;

constexpr std::uint32_t block_bytes = 1024;

class FetchIncomplete : public testing::Test {
 protected:
  // Tensor 0: 4 blocks; 1 and 2: one packed block; 3: 3 blocks; 4: a block of its own, not full.
  static test::Tensors random(std::uint64_t seed) {
    Rng rng(seed);
    return test::random_tensors(
        std::vector<std::uint64_t>{4 * block_bytes, 10, 20, 2 * block_bytes + 5, block_bytes - 1},
        rng);
  }
  // Everything differs but block 1 of tensor 0.
  static test::Tensors other() {
    test::Tensors tensors = random(2);
    const test::Tensors elected = random(1);
    std::copy_n(elected[0].begin() + block_bytes, block_bytes, tensors[0].begin() + block_bytes);
    return tensors;
  }
  void SetUp() override {
    direct.get_list();
    direct.fetch.add_source(direct.source(1));
  }
  void ask_up_to(std::uint32_t block) {
    while (const auto request = direct.request(1)) {
      asked.push_back(request->index);
      if (request->index == block) return;
    }
  }
  void get(std::uint32_t block) { direct.send(1, {What::block, block, 1}); }

  DirectFetch direct{random(1), other(), block_bytes};
  Incomplete asked;
};

TEST_F(FetchIncomplete, UntouchedIsNotIncomplete) {
  EXPECT_EQ(direct.fetch.incomplete_tensors(), Incomplete{});
  ask_up_to(4);
  EXPECT_EQ(asked, (Incomplete{0, 2, 3, 4})) << "block 1 does not differ";
  EXPECT_EQ(direct.fetch.incomplete_tensors(), Incomplete{});
  direct.begin(1, {What::block, 0, 1});
  EXPECT_EQ(direct.fetch.incomplete_tensors(), Incomplete{}) << "no byte has come";
}

TEST_F(FetchIncomplete, WholeTensorsOfTwoContentsAreHalfWay) {
  EXPECT_FALSE(direct.fetch.half_way());
  ask_up_to(4);
  EXPECT_FALSE(direct.fetch.half_way());
  get(4);  // the packed block: tensors 1 and 2 are the elected ones, the others as they were
  EXPECT_TRUE(direct.fetch.half_way());
  EXPECT_EQ(direct.fetch.incomplete_tensors(), Incomplete{});
}

TEST_F(FetchIncomplete, SomeBlocksButNotAll) {
  ask_up_to(3);
  get(0);
  get(3);
  EXPECT_EQ(direct.fetch.incomplete_tensors(), Incomplete{0});
  get(2);
  EXPECT_EQ(direct.fetch.incomplete_tensors(), Incomplete{});
}

// The first holder has begun the block and is slow: the other's comes beside it.
TEST_F(FetchIncomplete, ABlockThatWasPutInPlaceAtOnce) {
  ask_up_to(3);
  direct.begin(1, {What::block, 0, 1});
  direct.fetch.add_source(direct.source(2));
  auto copy = direct.request(2, std::chrono::seconds(10));
  for (; copy && copy->index != 0; copy = direct.request(2, std::chrono::seconds(20)))
    if (copy->index > 3) direct.send(2, *copy);
  ASSERT_TRUE(copy);
  EXPECT_EQ(direct.fetch.incomplete_tensors(), Incomplete{});
  direct.send(2, *copy);
  EXPECT_EQ(direct.fetch.incomplete_tensors(), Incomplete{0});
}

TEST_F(FetchIncomplete, HalfABlock) {
  ask_up_to(3);
  const Answer answer = direct.begin(1, {What::block, 2, 1});
  direct.put(1, answer, direct.elected.block(2), 0, 10);
  EXPECT_EQ(direct.fetch.incomplete_tensors(), Incomplete{0});
  direct.fetch.source_lost(direct.source(1));
  EXPECT_EQ(direct.fetch.incomplete_tensors(), Incomplete{0});
}

TEST_F(FetchIncomplete, AWrongBlockInPlace) {
  ask_up_to(3);
  direct.send(1, {What::block, 3, 1}, test::Bytes(block_bytes));
  EXPECT_EQ(direct.fetch.take_dropped().size(), 1U);
  EXPECT_EQ(direct.fetch.incomplete_tensors(), Incomplete{0});
}

TEST_F(FetchIncomplete, APackedBlockIsAllOrNothing) {
  ask_up_to(4);
  const Answer answer = direct.begin(1, {What::block, 4, 1});
  direct.put(1, answer, direct.elected.block(4), 0, 15);
  EXPECT_EQ(direct.fetch.incomplete_tensors(), Incomplete{});
  direct.put(1, answer, direct.elected.block(4), 15, 30);
  direct.end(1, answer);
  EXPECT_EQ(direct.fetch.incomplete_tensors(), Incomplete{});
  EXPECT_EQ(direct.own.tensors[1], direct.elected.tensors[1]);
}

// Whenever it is abandoned: what is not named is as it was, or as it should be.
TEST_F(FetchIncomplete, WhateverIsNotNamedIsWhole) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed);
    test::FetchHarness harness(
        seed, test::random_tensors(test::mixed_sizes(40, block_bytes, rng), rng), block_bytes);
    harness.largest_piece = 700;
    const std::size_t receiver = harness.add_receiver(0.7);
    const test::Tensors before = harness.state(receiver).tensors;
    const std::uint64_t total = harness.elected().map.total_bytes();
    for (std::size_t holder = 0; holder < 3; ++holder) {
      harness.add_holder();
      const std::uint64_t end = rng.below(total / 3 + 1);
      harness.link(receiver, holder,
                   {.bytes_per_second = 1e6,
                    .dies_after = rng.chance(0.5) ? end : test::never,
                    .lies_after = end});
    }
    harness.run();
    const auto named = harness.fetch(receiver).incomplete_tensors();
    EXPECT_TRUE(std::ranges::is_sorted(named));
    for (std::uint32_t tensor = 0; tensor < before.size(); ++tensor) {
      const test::Bytes& now = harness.state(receiver).tensors[tensor];
      const bool elected = now == harness.elected().tensors[tensor];
      if (!std::ranges::binary_search(named, tensor)) {
        EXPECT_TRUE(elected || now == before[tensor]) << "tensor " << tensor;
      }
      if (harness.fetch(receiver).finished()) {
        EXPECT_TRUE(elected);
      }
    }
  }
}

}  // namespace
}  // namespace pccl::shared_state
