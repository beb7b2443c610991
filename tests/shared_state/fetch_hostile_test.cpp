// Frames that no honest holder sends, and copies that come when they are not needed any more: they
// are refused or discarded, and change no byte.
#include <gtest/gtest.h>

#include "shared_state/direct_fetch.hpp"

namespace pccl::shared_state {
namespace {

using namespace std::chrono_literals;
using test::Bytes;
using test::DirectFetch;

constexpr std::uint32_t block_bytes = 1024;

// Tensor 0: three blocks. Tensors 1 and 2: one packed block.
const std::vector<std::uint64_t> sizes{3 * block_bytes, 100, 200};

class FetchHostile : public testing::Test {
 protected:
  static test::Tensors random(std::uint64_t seed) {
    Rng rng(seed);
    return test::random_tensors(sizes, rng);
  }
  void SetUp() override {
    direct.get_list();
    direct.fetch.add_source(direct.source(1));
    direct.fetch.add_source(direct.source(2));
  }
  Request request_for(std::uint64_t from, std::uint32_t block, Duration at = {}) {
    while (const auto request = direct.request(from, at))
      if (request->index == block) return *request;
    ADD_FAILURE() << "holder " << from << " is not asked for block " << block;
    return {};
  }
  Bytes wrong(const Request& request) const {
    Bytes bytes = direct.content(request);
    bytes[7] ^= std::byte{1};
    return bytes;
  }
  bool holds(std::uint32_t block) const {
    return direct.own.block(block) == direct.elected.block(block);
  }

  DirectFetch direct{random(1), random(2), block_bytes};
};

TEST_F(FetchHostile, AnswersThatNobodyAskedFor) {
  EXPECT_TRUE(direct.refuses(1, {What::block, 0, block_bytes}));
  EXPECT_TRUE(direct.refuses(1, {What::digests, 0, 64}));
  EXPECT_TRUE(direct.refuses(7, {What::block, 0, block_bytes})) << "an unknown holder";
  const Request asked = request_for(1, 0);
  EXPECT_TRUE(direct.refuses(2, {What::block, asked.index, block_bytes})) << "the wrong holder";
  for (const std::uint32_t index : {4U, 5U, 0x7fffffffU, 0xffffffffU})
    EXPECT_TRUE(direct.refuses(1, {What::block, index, block_bytes}));
  EXPECT_TRUE(direct.refuses(1, {static_cast<What>(9), 0, block_bytes}));
}

TEST_F(FetchHostile, AnswersOfAnotherLength) {
  request_for(1, 3);
  for (const std::uint32_t length : {0U, 1U, block_bytes - 1, block_bytes + 1, 0xffffffffU})
    EXPECT_TRUE(direct.refuses(1, {What::block, 0, length})) << length;
  EXPECT_TRUE(direct.refuses(1, {What::block, 3, block_bytes})) << "the packed block is shorter";
  EXPECT_FALSE(direct.refuses(1, {What::block, 3, 300}));
}

TEST_F(FetchHostile, AnAnswerThatBeginsTwice) {
  const Request asked = request_for(1, 0);
  direct.begin(1, asked);
  EXPECT_TRUE(direct.refuses(1, {What::block, 0, block_bytes}));
}

TEST_F(FetchHostile, NothingHasAPlaceBeforeItBegins) {
  const Request asked = request_for(1, 0);
  const Answer answer = direct.answer_to(asked, block_bytes);
  EXPECT_TRUE(direct.fetch.destination(direct.source(1), answer, 0).empty());
  direct.end(1, answer);
  EXPECT_EQ(direct.fetch.progress().bytes_received, 0U);
  direct.begin(1, asked);
  EXPECT_EQ(direct.fetch.destination(direct.source(1), answer, 0).size(), block_bytes);
  EXPECT_EQ(direct.fetch.destination(direct.source(1), answer, block_bytes - 1).size(), 1U);
  EXPECT_TRUE(direct.fetch.destination(direct.source(1), answer, block_bytes).empty());
  EXPECT_TRUE(direct.fetch.destination(direct.source(1), answer, ~std::size_t{0}).empty());
  EXPECT_TRUE(direct.fetch.destination(direct.source(2), answer, 0).empty());
}

TEST_F(FetchHostile, BlocksOfOneTensorArriveInPlaceAndPackedOnesBesideIt) {
  request_for(1, 3);
  const Answer large = direct.begin(1, {What::block, 1, 1});
  EXPECT_EQ(direct.fetch.destination(direct.source(1), large, 10).data(),
            direct.own.tensors[0].data() + block_bytes + 10);
  const auto before = direct.own.tensors;
  const Answer packed = direct.begin(1, {What::block, 3, 1});
  EXPECT_TRUE(direct.put(1, packed, direct.elected.block(3), 0, 300));
  EXPECT_TRUE(direct.own.tensors == before) << "not before it is verified";
  direct.end(1, packed);
  EXPECT_TRUE(holds(3));
}

TEST_F(FetchHostile, AWrongPackedBlockTouchesNothing) {
  const auto before = direct.own.tensors;
  const Request packed = request_for(1, 3);
  direct.send(1, packed, wrong(packed));
  EXPECT_TRUE(direct.own.tensors == before);
  const auto dropped = direct.fetch.take_dropped();
  ASSERT_EQ(dropped.size(), 1U);
  EXPECT_EQ(dropped[0].source, direct.source(1));
  EXPECT_NE(dropped[0].why.find("block 3"), std::string::npos);
  EXPECT_TRUE(direct.fetch.take_dropped().empty());
  EXPECT_TRUE(direct.refuses(1, {What::block, 0, block_bytes})) << "it is not asked any more";
  EXPECT_FALSE(direct.request(1));
}

TEST_F(FetchHostile, AfterAHolderIsGoneItsAnswersHaveNoPlace) {
  request_for(1, 3);
  const Answer half_way = direct.begin(1, {What::block, 0, 1});
  EXPECT_TRUE(direct.put(1, half_way, direct.elected.block(0), 0, 500));
  direct.send(1, {What::block, 1, 1}, wrong({What::block, 1, 1}));
  EXPECT_TRUE(direct.fetch.destination(direct.source(1), half_way, 500).empty());
  direct.end(1, half_way);
  EXPECT_EQ(direct.fetch.progress().bytes_verified, 0U);
  for (std::uint32_t block = 0; block < 4; ++block) direct.send(2, *direct.request(2));
  EXPECT_TRUE(direct.fetch.finished());
  EXPECT_TRUE(direct.own.tensors == direct.elected.tensors);
}

// Holder 1 has begun a block, holder 2 is asked for the same one and is faster.
TEST_F(FetchHostile, ALateCopyCannotDamageAVerifiedBlock) {
  request_for(1, 3);
  const Answer slow = direct.begin(1, {What::block, 0, 1});
  const Bytes noise(block_bytes, std::byte{0xee});
  EXPECT_TRUE(direct.put(1, slow, noise, 0, 300));
  const Request copy = request_for(2, 0, 10s);
  const Answer fast = direct.begin(2, copy);
  const auto place = direct.fetch.destination(direct.source(2), fast, 0);
  ASSERT_FALSE(place.empty());
  EXPECT_NE(place.data(), direct.own.tensors[0].data()) << "one writer at a time";
  direct.put(2, fast, direct.elected.block(0), 0, block_bytes);
  direct.end(2, fast, 10s);
  EXPECT_TRUE(holds(0));
  EXPECT_FALSE(direct.put(1, slow, noise, 300, block_bytes));
  direct.end(1, slow, 11s);
  EXPECT_TRUE(holds(0));
  EXPECT_TRUE(direct.fetch.take_dropped().empty()) << "what was discarded is not judged";
  EXPECT_EQ(direct.fetch.progress().duplicates, 1U);
}

TEST_F(FetchHostile, TheFirstWriterMayWinAsWell) {
  request_for(1, 3);
  const Answer first = direct.begin(1, {What::block, 0, 1});
  direct.put(1, first, direct.elected.block(0), 0, 300);
  const Answer second = direct.begin(2, request_for(2, 0, 10s));
  direct.put(2, second, Bytes(block_bytes, std::byte{0xee}), 0, 400);
  direct.put(1, first, direct.elected.block(0), 300, block_bytes);
  direct.end(1, first, 11s);
  EXPECT_TRUE(holds(0));
  EXPECT_FALSE(direct.put(2, second, Bytes(block_bytes), 400, block_bytes));
  direct.end(2, second, 12s);
  EXPECT_TRUE(holds(0));
}

// The writer in the user's memory lies; the copy beside it is right.
TEST_F(FetchHostile, ACopyRepairsWhatALiarHasWritten) {
  request_for(1, 3);
  const Answer lie = direct.begin(1, {What::block, 0, 1});
  const Answer truth = direct.begin(2, request_for(2, 0, 10s));
  direct.put(1, lie, Bytes(block_bytes, std::byte{0xee}), 0, block_bytes);
  direct.put(2, truth, direct.elected.block(0), 0, 100);
  direct.end(1, lie, 11s);
  EXPECT_EQ(direct.fetch.take_dropped().size(), 1U);
  EXPECT_FALSE(holds(0));
  direct.put(2, truth, direct.elected.block(0), 100, block_bytes);
  direct.end(2, truth, 12s);
  EXPECT_TRUE(holds(0));
}

TEST_F(FetchHostile, TheNextToBeginWritesInPlaceWhenTheWriterIsGone) {
  request_for(1, 3);
  const Answer first = direct.begin(1, {What::block, 0, 1});
  direct.put(1, first, Bytes(block_bytes, std::byte{0xee}), 0, 300);
  direct.fetch.source_lost(direct.source(1));
  const Answer second = direct.begin(2, request_for(2, 0));
  EXPECT_EQ(direct.fetch.destination(direct.source(2), second, 0).data(),
            direct.own.tensors[0].data());
}

TEST_F(FetchHostile, AHolderThatIsAddedAgainOwesNothing) {
  request_for(1, 3);
  direct.begin(1, {What::block, 0, 1});
  direct.fetch.add_source(direct.source(1));
  EXPECT_TRUE(direct.refuses(1, {What::block, 1, block_bytes}))
      << "it was asked in an earlier life";
  for (std::uint32_t block = 0; block < 4; ++block) direct.send(2, *direct.request(2));
  EXPECT_TRUE(direct.fetch.finished());
}

TEST_F(FetchHostile, NoMoreThanTwoHoldersAreAskedForOneBlock) {
  request_for(1, 3);
  for (std::uint64_t other = 3; other < 10; ++other) direct.fetch.add_source(direct.source(other));
  std::size_t asked = 0;
  for (std::uint64_t other = 2; other < 10; ++other)
    while (direct.request(other, 10s)) ++asked;
  EXPECT_EQ(asked, 4U);
}

TEST_F(FetchHostile, NothingIsAskedTwiceBeforeItsTime) {
  request_for(1, 3);
  EXPECT_FALSE(direct.fetch.has_request(direct.source(2), Instant{} + 100ms));
  EXPECT_TRUE(direct.fetch.has_request(direct.source(2), Instant{} + 1s));
}

TEST_F(FetchHostile, NothingIsAskedTwiceAtOnceHoweverFastAHolderIs) {
  direct.send(2, *direct.request(2));
  request_for(1, 3);
  EXPECT_FALSE(direct.fetch.has_request(direct.source(2), Instant{} + 20ms));
  EXPECT_TRUE(direct.fetch.has_request(direct.source(2), Instant{} + 60ms));
}

TEST_F(FetchHostile, SilenceIsCountedWhileSomethingIsOwed) {
  const auto stalled = [&](Duration at) { return direct.fetch.stalled(Instant{} + at, 3s).size(); };
  EXPECT_EQ(stalled(0s), 0U);
  EXPECT_EQ(stalled(100s), 0U) << "it owes nothing";
  const Request asked = request_for(1, 0, 100s);
  EXPECT_EQ(stalled(101s), 0U);
  EXPECT_EQ(stalled(104s), 0U);
  const Answer answer = direct.begin(1, asked);
  for (int second = 105; second < 150; ++second) {
    direct.put(1, answer, direct.elected.block(0), static_cast<std::size_t>(second), 200);
    EXPECT_EQ(stalled(1s * second), 0U) << "a byte is progress";
  }
  EXPECT_EQ(stalled(151s), 0U);
  const auto slow = direct.fetch.stalled(Instant{} + 153s, 3s);
  ASSERT_EQ(slow.size(), 1U);
  EXPECT_EQ(slow[0].source, direct.source(1));
  EXPECT_FALSE(slow[0].why.empty());
  direct.fetch.grant_fresh_deadlines(Instant{} + 153s);
  EXPECT_EQ(stalled(154s), 0U);
}

TEST_F(FetchHostile, AStateOfOtherTensorsCannotBeFetched) {
  DirectFetch nothing({Bytes(5)}, {Bytes()}, block_bytes);
  EXPECT_FALSE(nothing.fetch.finished());
  nothing.fetch.add_source(nothing.source(1));
  EXPECT_EQ(nothing.fetch.take_dropped().size(), 1U);
  EXPECT_FALSE(nothing.request(1));
}

}  // namespace
}  // namespace pccl::shared_state
