// A state's digests are a function of its bytes: of no thread, no address and no number's meaning.
#include "shared_state/digest_state.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "shared_state/state.hpp"

namespace pccl::shared_state {
namespace {

using test::State;

TEST(DigestState, IsTheSameForAnyNumberOfThreads) {
  Rng rng(1);
  // Enough for the threads to be started.
  const State state(test::random_tensors(
                        std::vector<std::uint64_t>{0, 20 << 20, 7, 100'000, 13'000'001, 9, 9}, rng),
                    limits::smallest_state_block_bytes);
  for (const unsigned threads : {0U, 2U, 3U, 16U}) {
    const StateDigest again = digest_state(state.views, state.map, threads);
    EXPECT_EQ(again.content, state.digest.content) << threads;
    EXPECT_EQ(again.blocks, state.digest.blocks) << threads;
  }
}

TEST(DigestState, OfABlockIsTheDigestOfItsBytesHoweverTheyAreSpread) {
  Rng rng(2);
  const State state(test::random_tensors(test::mixed_sizes(80, 512, rng), rng), 512);
  for (std::uint32_t block = 0; block < state.map.blocks(); ++block)
    EXPECT_EQ(state.digest.blocks[block], kernels::digest(state.block(block))) << block;
}

TEST(DigestState, OfTinyTensorsIsThatOfOneWithTheirBytes) {
  Rng rng(3);
  const test::Bytes whole = test::random_bytes(80'000, rng);
  test::Tensors tiny;
  for (auto at = whole.begin(); at != whole.end(); at += 8) tiny.emplace_back(at, at + 8);
  const State one({whole}, limits::smallest_state_block_bytes);
  const State many(tiny, limits::smallest_state_block_bytes);
  EXPECT_EQ(many.digest.content, one.digest.content);
}

TEST(DigestState, ChangesWithEveryTensor) {
  Rng rng(4);
  const auto sizes = test::mixed_sizes(60, 256, rng);
  State state(test::random_tensors(sizes, rng), 256);
  for (std::size_t tensor = 0; tensor < sizes.size(); ++tensor) {
    if (sizes[tensor] == 0) continue;
    std::byte& changed = state.tensors[tensor][rng.below(sizes[tensor])];
    changed ^= std::byte{1};
    EXPECT_NE(digest_state(state.views, state.map, 1).content, state.digest.content) << tensor;
    changed ^= std::byte{1};
  }
  EXPECT_EQ(digest_state(state.views, state.map, 1).content, state.digest.content);
}

// Equal numbers are not equal bytes, and what is no number equals itself.
TEST(DigestState, FloatsAreJustBytes) {
  const auto digest_of = [](std::uint32_t bits) {
    test::Bytes bytes(4);
    std::memcpy(bytes.data(), &bits, 4);
    return State({bytes}, 64).digest.content;
  };
  constexpr std::uint32_t plus_zero = 0, minus_zero = 0x80000000;
  constexpr std::uint32_t a_nan = 0x7fc00000, another_nan = 0x7fc00001, signalling = 0x7f800001;
  EXPECT_NE(digest_of(plus_zero), digest_of(minus_zero));
  EXPECT_NE(digest_of(a_nan), digest_of(another_nan));
  EXPECT_NE(digest_of(a_nan), digest_of(signalling));
  EXPECT_EQ(digest_of(another_nan), digest_of(another_nan));
}

TEST(DigestState, TellsHowTheStateIsCut) {
  const test::Bytes bytes(50);
  const State small({bytes}, 64), large({bytes}, 128);
  EXPECT_EQ(small.digest.blocks, large.digest.blocks);
  EXPECT_NE(small.digest.content, large.digest.content);
}

TEST(DigestState, OfNothingIsTheSameForAll) {
  const State none({}, limits::smallest_state_block_bytes);
  const State empties({{}, {}}, limits::smallest_state_block_bytes);
  EXPECT_EQ(none.digest.content, empties.digest.content);
  EXPECT_EQ(none.digest.content, digest_state({}, BlockMap(), 8).content);
  EXPECT_NE(none.digest.content,
            State({{std::byte{0}}}, limits::smallest_state_block_bytes).digest.content);
}

}  // namespace
}  // namespace pccl::shared_state
