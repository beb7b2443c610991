// A holder answers what can be answered, from the user's memory where it can, and nothing else.
#include "shared_state/holder.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "shared_state/state.hpp"

namespace pccl::shared_state {
namespace {

constexpr std::uint32_t block_bytes = 1024;
const PeerId alice{1, 1}, bob{1, 2};

class HolderTest : public testing::Test {
 protected:
  static test::Tensors content() {
    Rng rng(1);
    return test::random_tensors(std::vector<std::uint64_t>{5000, 10, 20, 0, 900, 1024, 3}, rng);
  }
  bool asks(const PeerId& receiver, const Request& request) {
    std::string why;
    const bool taken = holder.request_arrived(receiver, request, why);
    EXPECT_EQ(taken, why.empty());
    return taken;
  }
  test::Bytes received(const Answer& answer) {
    test::Bytes bytes;
    while (bytes.size() < answer.length) {
      const auto some = holder.payload(answer, bytes.size());
      EXPECT_FALSE(some.empty());
      EXPECT_LE(some.size(), answer.length - bytes.size());
      const std::size_t taken = 1 + rng.below(some.size());
      bytes.insert(bytes.end(), some.begin(), some.begin() + static_cast<std::ptrdiff_t>(taken));
    }
    EXPECT_TRUE(holder.payload(answer, answer.length).empty());
    return bytes;
  }

  test::State state{content(), block_bytes};
  Holder holder{state.views, state.map, state.digest.blocks};
  Rng rng{2};
};

TEST_F(HolderTest, AnswersWithTheBytesOfEveryBlock) {
  std::uint64_t sent = 0;
  for (std::uint32_t block = 0; block < state.map.blocks(); ++block) {
    ASSERT_TRUE(asks(alice, {What::block, block, 1}));
    ASSERT_TRUE(holder.has_answer(alice));
    EXPECT_FALSE(holder.has_answer(bob));
    const auto answer = holder.next_answer(alice);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->length, state.map.length(block));
    EXPECT_EQ(received(*answer), state.block(block)) << block;
    holder.answer_sent(alice, *answer);
    sent += answer->length;
  }
  EXPECT_EQ(holder.bytes_sent(), sent);
  EXPECT_FALSE(holder.next_answer(alice));
}

TEST_F(HolderTest, SendsABlockOfOneTensorFromTheUsersMemory) {
  ASSERT_TRUE(asks(alice, {What::block, 1, 1}));
  const auto answer = holder.next_answer(alice);
  EXPECT_EQ(holder.payload(*answer, 24).data(), state.tensors[0].data() + block_bytes + 24);
  EXPECT_EQ(holder.payload(*answer, 24).size(), block_bytes - 24);
}

TEST_F(HolderTest, PackedBlocksOfSeveralReceiversDoNotMix) {
  const test::State packed(test::random_tensors(std::vector<std::uint64_t>(100'000, 5), rng),
                           200'000);
  Holder one(packed.views, packed.map, packed.digest.blocks);
  ASSERT_EQ(packed.map.blocks(), 3U);
  std::string why;
  std::vector<Answer> answers;
  std::vector<test::Bytes> got(3);
  for (std::uint32_t block = 0; block < 3; ++block) {
    ASSERT_TRUE(one.request_arrived(block == 0 ? alice : bob, {What::block, block, 1}, why));
    answers.push_back(*one.next_answer(block == 0 ? alice : bob));
  }
  for (int turn = 0; turn < 1000; ++turn) {
    const std::size_t which = rng.below(3);
    const auto some = one.payload(answers[which], got[which].size());
    const auto taken = std::min<std::size_t>(some.size(), rng.below(3000));
    got[which].insert(got[which].end(), some.begin(),
                      some.begin() + static_cast<std::ptrdiff_t>(taken));
  }
  for (std::uint32_t block = 0; block < 3; ++block) EXPECT_EQ(got[block], packed.block(block));
}

TEST_F(HolderTest, AnswersWithDigests) {
  ASSERT_TRUE(asks(alice, {What::digests, 1, state.map.blocks() - 1}));
  const auto answer = holder.next_answer(alice);
  EXPECT_EQ(answer->length, (state.map.blocks() - 1) * 16);
  const auto expected = std::as_bytes(std::span(state.digest.blocks).subspan(1));
  EXPECT_TRUE(std::ranges::equal(received(*answer), expected));
  holder.answer_sent(alice, *answer);
  EXPECT_EQ(holder.bytes_sent(), 0U) << "of blocks only";
}

TEST_F(HolderTest, RefusesWhatCannotBeAnswered) {
  const std::uint32_t blocks = state.map.blocks();
  for (const Request& request :
       {Request{What::block, blocks, 1}, Request{What::block, 0xffffffff, 1},
        Request{What::block, 0, 0}, Request{What::block, 0, 2}, Request{What::digests, 0, 0},
        Request{What::digests, 0, blocks + 1}, Request{What::digests, 1, blocks},
        Request{What::digests, blocks, 1}, Request{What::digests, 2, 0xffffffff},
        Request{static_cast<What>(7), 0, 1}})
    EXPECT_FALSE(asks(alice, request)) << request.index << ", " << request.count;
  EXPECT_FALSE(holder.has_answer(alice));
}

TEST_F(HolderTest, BoundsTheRequestsOfEachReceiver) {
  for (std::uint32_t request = 0; request < requests_in_flight; ++request)
    ASSERT_TRUE(asks(alice, {What::block, request % state.map.blocks(), 1}));
  EXPECT_FALSE(asks(alice, {What::block, 0, 1}));
  EXPECT_TRUE(asks(bob, {What::block, 0, 1}));
  const auto answer = holder.next_answer(alice);
  EXPECT_FALSE(asks(alice, {What::block, 0, 1})) << "it is still being sent";
  holder.answer_sent(alice, *answer);
  EXPECT_TRUE(asks(alice, {What::block, 0, 1}));
}

TEST_F(HolderTest, ForgetsALostReceiver) {
  ASSERT_TRUE(asks(alice, {What::block, 0, 1}));
  ASSERT_TRUE(asks(alice, {What::block, 1, 1}));
  const auto answer = holder.next_answer(alice);
  holder.receiver_lost(alice);
  EXPECT_FALSE(holder.has_answer(alice));
  EXPECT_FALSE(holder.next_answer(alice));
  holder.answer_sent(alice, *answer);  // a lane that has not heard of it
  EXPECT_TRUE(asks(alice, {What::block, 0, 1}));
}

TEST(Holder, OfAnEmptyStateAnswersNothing) {
  const BlockMap map;
  Holder holder({}, map, {});
  std::string why;
  EXPECT_FALSE(holder.request_arrived(alice, {What::digests, 0, 0}, why));
  EXPECT_FALSE(holder.request_arrived(alice, {What::digests, 0, 1}, why));
  EXPECT_FALSE(holder.request_arrived(alice, {What::block, 0, 1}, why));
}

}  // namespace
}  // namespace pccl::shared_state
