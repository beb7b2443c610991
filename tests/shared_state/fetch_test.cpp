// A fetch among honest holders: exact, only what differs, from all of them at once.
#include "shared_state/fetch.hpp"

#include <gtest/gtest.h>

#include "shared_state/fetch_harness.hpp"

namespace pccl::shared_state {
namespace {

using namespace std::chrono_literals;
using test::FetchHarness;
using test::LinkOptions;
using test::mixed;
using test::one_large;
using test::small_blocks;

TEST(Fetch, GetsTheElectedContent) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    FetchHarness harness(seed, mixed(seed), small_blocks);
    const std::size_t receivers = 1 + harness.rng().below(3), holders = 1 + harness.rng().below(4);
    for (std::size_t holder = 0; holder < holders; ++holder) harness.add_holder();
    for (std::size_t receiver = 0; receiver < receivers; ++receiver) {
      const double parts[] = {0.02, 0.3, 1};
      harness.add_receiver(parts[harness.rng().below(3)]);
      for (std::size_t holder = 0; holder < holders; ++holder)
        harness.link(receiver, holder,
                     {.bytes_per_second = 1e5 * static_cast<double>(1 + harness.rng().below(1000)),
                      .delay = 1ms * static_cast<int>(harness.rng().below(50)),
                      .lanes = static_cast<std::uint32_t>(1 + harness.rng().below(4))});
    }
    harness.run();
    for (std::size_t receiver = 0; receiver < receivers; ++receiver) {
      harness.expect_elected(receiver);
      EXPECT_TRUE(harness.lost(receiver).empty());
    }
  }
}

TEST(Fetch, OnlyWhatDiffersTravels) {
  FetchHarness harness(1, mixed(1, 100), small_blocks);
  harness.add_holder();
  harness.add_receiver(0.1);
  harness.link(0, 0);
  harness.run();
  harness.expect_elected(0);
  const auto progress = harness.fetch(0).progress();
  EXPECT_GT(progress.bytes_wanted, 0U);
  EXPECT_LT(progress.bytes_wanted, harness.elected().map.total_bytes() / 2);
  EXPECT_EQ(progress.bytes_received, progress.bytes_wanted);
  EXPECT_EQ(harness.block_bytes_sent(0), progress.bytes_wanted);
  EXPECT_EQ(harness.holder(0).bytes_sent(), progress.bytes_wanted);
}

TEST(Fetch, OfWhatIsHereAlreadyAsksForNothing) {
  FetchHarness harness(1, mixed(1), small_blocks);
  harness.add_holder();
  harness.add_receiver(0.0);
  EXPECT_TRUE(harness.fetch(0).finished());
  harness.link(0, 0);
  EXPECT_FALSE(harness.fetch(0).has_request({1, 1}, Instant{}));
  harness.run();
  harness.expect_elected(0);
}

TEST(Fetch, OfAnEmptyStateIsFinished) {
  for (const test::Tensors& nothing : {test::Tensors{}, test::Tensors(3)}) {
    FetchHarness harness(1, nothing, small_blocks);
    harness.add_receiver(nothing);
    EXPECT_TRUE(harness.fetch(0).finished());
    EXPECT_TRUE(harness.fetch(0).incomplete_tensors().empty());
  }
}

TEST(Fetch, TenThousandTinyTensors) {
  Rng rng(1);
  const test::Tensors tiny = test::random_tensors(std::vector<std::uint64_t>(10'000, 8), rng);
  FetchHarness harness(1, tiny, limits::smallest_state_block_bytes);
  harness.add_holder();
  harness.add_receiver(test::Tensors(10'000, test::Bytes(8)));
  harness.link(0, 0);
  harness.run();
  harness.expect_elected(0);
  EXPECT_LT(harness.elapsed(), 200ms);
}

// More digests than fit one frame.
TEST(Fetch, LongListsComeInSeveralFrames) {
  Rng rng(1);
  const std::vector<std::uint64_t> sizes{70'000 * 16};
  FetchHarness harness(1, test::random_tensors(sizes, rng), 16);
  ASSERT_GT(harness.elected().map.blocks(), digests_per_answer);
  harness.largest_piece = 300'000;
  harness.add_holder();
  harness.add_receiver(0.002);
  harness.link(0, 0, {.bytes_per_second = 1e9, .lanes = 3});
  harness.run();
  harness.expect_elected(0);
}

TEST(Fetch, UsesAllHoldersAtOnce) {
  const auto time_with = [](std::size_t holders) {
    FetchHarness harness(1, one_large(500), small_blocks);
    harness.add_receiver(1.0);
    for (std::size_t holder = 0; holder < holders; ++holder) {
      harness.add_holder();
      harness.link(0, holder, {.bytes_per_second = 1e6, .delay = 1ms});
    }
    harness.run();
    harness.expect_elected(0);
    for (std::size_t holder = 0; holder < holders; ++holder)
      EXPECT_GT(harness.holder(holder).bytes_sent() * holders, 500 * small_blocks / 2);
    return seconds(harness.elapsed());
  };
  const double alone = time_with(1);
  EXPECT_LT(alone, 500 * small_blocks / 1e6 * 1.1);
  EXPECT_LT(time_with(4), alone / 4 * 1.15);
}

TEST(Fetch, FillsALongPath) {
  FetchHarness harness(1, one_large(3000), small_blocks);
  harness.add_holder();
  harness.add_receiver(1.0);
  // 60 blocks fit into a round trip.
  harness.link(0, 0, {.bytes_per_second = 2.5e6, .delay = 50ms, .lanes = 4});
  harness.run();
  harness.expect_elected(0);
  EXPECT_LT(seconds(harness.elapsed()), 3000 * small_blocks / 2.5e6 * 1.25);
}

TEST(Fetch, ASlowHolderDoesNotHoldUpTheEnd) {
  FetchHarness harness(1, one_large(1000), small_blocks);
  harness.add_receiver(1.0);
  harness.add_holder();
  harness.add_holder();
  harness.link(0, 0, {.bytes_per_second = 4e6});
  harness.link(0, 1, {.bytes_per_second = 4e3});  // a second for each of its blocks
  harness.run();
  harness.expect_elected(0);
  EXPECT_LT(seconds(harness.elapsed()), 1000 * small_blocks / 4e6 * 1.3);
  EXPECT_LE(harness.fetch(0).progress().bytes_received, 1004 * small_blocks);
}

TEST(Fetch, EqualHoldersAreHardlyAskedTwice) {
  FetchHarness harness(1, one_large(400), small_blocks);
  harness.add_receiver(1.0);
  for (std::size_t holder = 0; holder < 5; ++holder) {
    harness.add_holder();
    harness.link(0, holder, {.bytes_per_second = 1e6});
  }
  harness.run();
  harness.expect_elected(0);
  EXPECT_LE(harness.block_bytes_sent(0), 405 * small_blocks);
}

TEST(Fetch, HoldersMayComeLate) {
  FetchHarness harness(1, one_large(200), small_blocks);
  harness.add_receiver(1.0);
  for (std::size_t holder = 0; holder < 3; ++holder) harness.add_holder();
  harness.run(1s);
  EXPECT_FALSE(harness.fetch(0).finished());
  harness.link(0, 0, {.bytes_per_second = 1e5});
  for (int tick = 0; tick < 500; ++tick) harness.tick();
  harness.link(0, 1, {.bytes_per_second = 1e6});
  for (int tick = 0; tick < 100; ++tick) harness.tick();
  harness.link(0, 2, {.bytes_per_second = 1e7});
  harness.run();
  harness.expect_elected(0);
  EXPECT_GT(harness.holder(2).bytes_sent(), harness.holder(1).bytes_sent());
}

}  // namespace
}  // namespace pccl::shared_state
