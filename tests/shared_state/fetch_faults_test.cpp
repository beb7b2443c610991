// Holders that die, freeze, crawl and lie: as long as one is left the fetch ends, exact, and
// nothing that is verified is asked for again (the harness watches).
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "shared_state/fetch_harness.hpp"

namespace pccl::shared_state {
namespace {

using namespace std::chrono_literals;
using test::FetchHarness;
using test::LinkOptions;
using test::mixed;
using test::one_large;
using test::small_blocks;

bool says(const std::vector<std::string>& lost, const std::string& what) {
  return std::ranges::any_of(
      lost, [&](const std::string& why) { return why.find(what) != std::string::npos; });
}

LinkOptions any_link(Rng& rng, std::uint64_t state_bytes) {
  LinkOptions options{.bytes_per_second = 1e5 * static_cast<double>(1 + rng.below(200)),
                      .delay = 1ms * static_cast<int>(rng.below(30)),
                      .lanes = static_cast<std::uint32_t>(1 + rng.below(4))};
  const std::uint64_t at = rng.below(state_bytes);
  switch (rng.below(5)) {
    case 0:
      options.dies_after = at;
      break;
    case 1:
      options.freezes_after = at;
      break;
    case 2:
      options.lies_after = rng.chance(0.3) ? 0 : at;
      break;
    default:
      break;
  }
  return options;
}

TEST(FetchFaults, OneHonestHolderIsEnough) {
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE(seed);
    FetchHarness harness(seed, mixed(seed), small_blocks);
    Rng& rng = harness.rng();
    const std::size_t receivers = 1 + rng.below(2), holders = 2 + rng.below(4);
    for (std::size_t holder = 0; holder < holders; ++holder) harness.add_holder();
    for (std::size_t receiver = 0; receiver < receivers; ++receiver) {
      harness.add_receiver(rng.chance(0.5) ? 1.0 : 0.4);
      const std::size_t honest = rng.below(holders);
      for (std::size_t holder = 0; holder < holders; ++holder)
        harness.link(receiver, holder,
                     holder == honest ? LinkOptions{.bytes_per_second = rng.chance(0.5) ? 1e5 : 1e7}
                                      : any_link(rng, harness.elected().map.total_bytes() / 2));
    }
    harness.run();
    for (std::size_t receiver = 0; receiver < receivers; ++receiver)
      harness.expect_elected(receiver);
  }
}

TEST(FetchFaults, DeathInTheMiddleOfABlock) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    FetchHarness harness(seed, one_large(50), small_blocks);
    harness.largest_piece = 700;
    harness.add_receiver(1.0);
    for (std::size_t holder = 0; holder < 4; ++holder) {
      harness.add_holder();
      harness.link(0, holder,
                   {.bytes_per_second = 1e6,
                    .dies_after = holder == 3 ? test::never : 2000 + harness.rng().below(30'000)});
    }
    harness.run();
    harness.expect_elected(0);
    EXPECT_EQ(harness.lost(0).size(), 3U);
    EXPECT_EQ(harness.fetch(0).progress().bytes_received, 50 * small_blocks)
        << "half a block is no block, and a whole one comes once";
  }
}

TEST(FetchFaults, ALinkThatIsMadeAnew) {
  FetchHarness harness(1, one_large(200), small_blocks);
  harness.add_receiver(1.0);
  harness.add_holder();
  for (int life = 0; life < 5; ++life) {
    harness.link(0, 0, {.bytes_per_second = 1e6, .dies_after = 150'000});
    harness.run();
    EXPECT_FALSE(harness.fetch(0).finished());
  }
  harness.link(0, 0);
  harness.run();
  harness.expect_elected(0);
}

TEST(FetchFaults, AFalseListCostsTheHolderItsPlace) {
  FetchHarness harness(1, one_large(100), small_blocks);
  harness.add_receiver(0.5);
  for (std::size_t holder = 0; holder < 3; ++holder) {
    harness.add_holder();
    harness.link(0, holder, {.lies_after = holder == 2 ? test::never : 0});
  }
  harness.run();
  harness.expect_elected(0);
  EXPECT_TRUE(says(harness.lost(0), "list of digests") ||
              says(harness.lost(0), "not the elected one"));
}

TEST(FetchFaults, AFalseBlockCostsTheHolderItsPlaceAndNothingElse) {
  FetchHarness harness(1, one_large(100), small_blocks);
  harness.add_receiver(1.0);
  harness.add_holder();
  harness.add_holder();
  harness.link(0, 0, {.bytes_per_second = 1e5});
  for (int tick = 0; tick < 100; ++tick) harness.tick();  // the list
  harness.link(0, 1, {.bytes_per_second = 1e6, .lies_after = 100'000});
  harness.run();
  harness.expect_elected(0);
  ASSERT_EQ(harness.lost(0).size(), 1U);
  EXPECT_TRUE(says(harness.lost(0), "not the elected one"));
  EXPECT_GT(harness.holder(1).bytes_sent(), 80'000U);
}

TEST(FetchFaults, AFrozenHolderIsNamedAndItsBlocksAskedElsewhere) {
  FetchHarness harness(1, one_large(300), small_blocks);
  harness.add_receiver(1.0);
  harness.add_holder();
  harness.add_holder();
  harness.link(0, 0, {.bytes_per_second = 2e5});
  harness.link(0, 1, {.bytes_per_second = 1e6, .freezes_after = 200'000});
  harness.run();
  harness.expect_elected(0);
  ASSERT_EQ(harness.lost(0).size(), 1U);
  EXPECT_TRUE(says(harness.lost(0), "sent nothing for")) << harness.lost(0).front();
}

// The end does not wait until it is named.
TEST(FetchFaults, AHolderThatFreezesAtTheEndCostsNoTime) {
  FetchHarness harness(1, one_large(100), small_blocks);
  harness.add_receiver(1.0);
  harness.add_holder();
  harness.add_holder();
  harness.link(0, 0, {.bytes_per_second = 1e6});
  harness.link(0, 1, {.bytes_per_second = 1e6, .freezes_after = 190'000});
  harness.run();
  harness.expect_elected(0);
  EXPECT_LT(harness.elapsed(), 1s);
  EXPECT_TRUE(harness.lost(0).empty());
}

// The list comes from one source at a time: one that drips does not hold up the others for long.
TEST(FetchFaults, ACrawlingListIsAskedElsewhere) {
  FetchHarness harness(1, one_large(100), small_blocks);
  harness.add_receiver(1.0);
  harness.add_holder();
  harness.link(0, 0, {.bytes_per_second = 10});
  harness.tick();  // it has the first word
  harness.add_holder();
  harness.link(0, 1);
  harness.run();
  harness.expect_elected(0);
  EXPECT_LT(harness.elapsed(), 2s);
  EXPECT_TRUE(harness.lost(0).empty()) << "it is of use for blocks";
}

// Each begins anew, so the time that one is given has to grow until the list fits into it.
TEST(FetchFaults, AListThatIsSlowWhoeverSendsItComes) {
  FetchHarness harness(1, one_large(600), small_blocks);
  harness.add_receiver(0.001);
  for (std::size_t holder = 0; holder < 2; ++holder) {
    harness.add_holder();
    harness.link(0, holder, {.bytes_per_second = 500});  // 19 s for the list
  }
  harness.run();
  harness.expect_elected(0);
}

TEST(FetchFaults, ACrawlingListIsGivenUpWhereThereIsNoOther) {
  FetchHarness harness(1, one_large(100), small_blocks);
  harness.add_receiver(1.0);
  harness.add_holder();
  harness.link(0, 0, {.bytes_per_second = 10});
  harness.run();
  EXPECT_LT(harness.elapsed(), 10 * harness.stall_limit + 1s);
  EXPECT_TRUE(says(harness.lost(0), "has not come within"));
}

TEST(FetchFaults, AHolderOfAnotherContentIsNoUse) {
  FetchHarness harness(1, one_large(20), small_blocks);
  test::Tensors other = one_large(20);
  other[0][5] ^= std::byte{1};
  harness.add_receiver(other);
  harness.add_holder();
  harness.link(0, 0, {.lies_after = 0});
  harness.run();
  EXPECT_FALSE(harness.fetch(0).finished());
  EXPECT_EQ(harness.fetch(0).sources(), 0U);
  EXPECT_TRUE(harness.state(0).tensors == other);
  EXPECT_TRUE(harness.fetch(0).incomplete_tensors().empty());
}

}  // namespace
}  // namespace pccl::shared_state
