// What a fetch takes beside the user's tensors stays small, whatever the state and the holders.
#include <gtest/gtest.h>

#include "base/live_bytes.hpp"
#include "shared_state/direct_fetch.hpp"
#include "shared_state/holder.hpp"

namespace pccl::shared_state {
namespace {

using test::DirectFetch;

constexpr std::size_t mebi = std::size_t{1} << 20;

TEST(FetchMemory, OfAStateWithTheMostBlocks) {
  const test::Tensors large{test::Bytes(16 * mebi)};
  test::Tensors other = large;
  for (std::size_t at = 0; at < other[0].size(); at += 16) other[0][at] = std::byte{1};
  const test::State elected(large, 16), own(std::move(other), 16);
  ASSERT_EQ(own.map.blocks(), limits::state_blocks);

  const std::size_t before = pccl::test::live_bytes();
  pccl::test::start_peak();
  Fetch fetch(own.views, own.map, own.digest.blocks, elected.digest.content);
  Holder holder(elected.views, elected.map, elected.digest.blocks);
  const PeerId peers[] = {{1, 1}, {1, 2}};
  for (const PeerId& peer : peers) fetch.add_source(peer);
  std::string why;
  for (int round = 0; round < 1000; ++round) {
    for (const PeerId& peer : peers) {
      while (const auto request = fetch.next_request(peer, Instant{}))
        ASSERT_TRUE(holder.request_arrived(peer, *request, why)) << why;
      const auto answer = holder.next_answer(peer);
      if (!answer) continue;
      ASSERT_TRUE(fetch.answer_begins(peer, *answer, why)) << why;
      std::ranges::copy(holder.payload(*answer, 0), fetch.destination(peer, *answer, 0).begin());
      fetch.answer_arrived(peer, *answer, Instant{});
      holder.answer_sent(peer, *answer);
    }
  }
  EXPECT_GT(fetch.progress().bytes_verified, 0U);
  // With the own digests (16 MiB), which are not counted here, and scratch it is within 64 MiB.
  EXPECT_LT(pccl::test::peak_bytes() - before, 20 * mebi);
}

// Every holder begins all that it owes, and ends nothing.
TEST(FetchMemory, OfPackedBlocksThatNeverEnd) {
  constexpr std::uint32_t block = limits::smallest_state_block_bytes;
  const std::size_t tensors = 700;
  DirectFetch direct(test::Tensors(tensors, test::Bytes(block / 5)),
                     test::Tensors(tensors, test::Bytes(block / 5, std::byte{1})), block);
  direct.get_list();
  const std::size_t before = pccl::test::live_bytes();
  pccl::test::start_peak();
  std::size_t begun = 0;
  for (std::uint64_t peer = 1; peer <= limits::state_sources; ++peer) {
    direct.fetch.add_source(direct.source(peer));
    while (const auto request = direct.request(peer)) {
      const Answer answer = direct.begin(peer, *request);
      EXPECT_FALSE(direct.fetch.destination(direct.source(peer), answer, 0).empty());
      ++begun;
    }
  }
  EXPECT_GE(begun, 2 * limits::state_sources) << "nobody is left without work";
  EXPECT_LT(pccl::test::peak_bytes() - before, 25 * mebi);
  for (std::uint64_t peer = 1; peer <= limits::state_sources; ++peer)
    direct.fetch.source_lost(direct.source(peer));
  direct.fetch.add_source(direct.source(1));
  while (!direct.fetch.finished() && !testing::Test::HasFailure())
    if (const auto request = direct.request(1)) direct.send(1, *request);
  EXPECT_TRUE(direct.own.tensors == direct.elected.tensors);
}

// Scratch for four blocks: the first holders share it, a later one has its private minimum.
TEST(FetchMemory, ScratchIsSharedFairly) {
  constexpr std::uint32_t block = 4 * mebi;
  const test::Tensors elected(18, test::Bytes(block / 3));
  DirectFetch direct(elected, test::Tensors(18, test::Bytes(block / 3, std::byte{1})), block);
  ASSERT_EQ(direct.own.map.blocks(), 6U);
  direct.get_list();
  const auto asked = [&](std::uint64_t peer) {
    std::size_t blocks = 0;
    while (direct.request(peer)) ++blocks;
    return blocks;
  };
  direct.fetch.add_source(direct.source(1));
  direct.fetch.add_source(direct.source(2));
  EXPECT_EQ(asked(1), 2U);
  EXPECT_EQ(asked(1), 0U);
  direct.fetch.source_lost(direct.source(2));
  EXPECT_EQ(asked(1), 2U);
  direct.fetch.add_source(direct.source(3));
  EXPECT_EQ(asked(3), 2U);
}

}  // namespace
}  // namespace pccl::shared_state
