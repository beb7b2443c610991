// Blocks from and to GPUs: exact, only what differs, and never half-way without saying so.
#include <gtest/gtest.h>

#include <algorithm>

#include "shared_state/fetch_harness.hpp"

namespace pccl::shared_state {
namespace {

using namespace std::chrono_literals;
using pccl_test::FakeRuntime;
using pccl_test::InstalledRuntime;
using test::FetchHarness;
using test::mixed;
using test::one_large;
using test::small_blocks;
using test::State;

constexpr const char* broken = "GPU 0: copying the shared state: unspecified launch failure";

TEST(DeviceTransfer, GetsTheElectedContentFromAnywhereToAnywhere) {
  for (std::uint64_t seed = 1; seed <= 80; ++seed) {
    SCOPED_TRACE(seed);
    InstalledRuntime cuda(FakeRuntime::Worker::nobody, seed);
    FetchHarness harness(seed, mixed(seed), small_blocks);
    const double parts[] = {0, 0.5, 1};
    const std::size_t receivers = 1 + harness.rng().below(3), holders = 1 + harness.rng().below(4);
    for (std::size_t holder = 0; holder < holders; ++holder) {
      harness.use_gpus(*cuda, parts[harness.rng().below(3)]);
      harness.add_holder();
    }
    for (std::size_t receiver = 0; receiver < receivers; ++receiver) {
      harness.use_gpus(*cuda, parts[harness.rng().below(3)]);
      harness.add_receiver(parts[1 + harness.rng().below(2)]);
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

// Who dies, lies or is lost does no harm; what has been copied for them is used by nobody else.
TEST(DeviceTransfer, SurvivesBadHolders) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    InstalledRuntime cuda(FakeRuntime::Worker::nobody, seed);
    FetchHarness harness(seed, mixed(seed), small_blocks);
    harness.use_gpus(*cuda, 0.7, 1 + harness.rng().below(30));
    for (std::size_t receiver = 0; receiver < 2; ++receiver) harness.add_receiver(1.0);
    for (std::size_t holder = 0; holder < 4; ++holder) {
      harness.add_holder();
      const std::uint64_t end = harness.rng().below(harness.elected().map.total_bytes() / 2);
      for (std::size_t receiver = 0; receiver < 2; ++receiver)
        harness.link(receiver, holder,
                     {.bytes_per_second = 3e6,
                      .lanes = 3,
                      .dies_after = holder == 1 ? end : test::never,
                      .freezes_after = holder == 2 ? end : test::never,
                      .lies_after = holder == 3 ? end : test::never});
    }
    harness.run();
    harness.expect_elected(0);
    harness.expect_elected(1);
  }
}

TEST(DeviceTransfer, CopiesOnlyWhatDiffers) {
  InstalledRuntime cuda(FakeRuntime::Worker::nobody);
  FetchHarness harness(1, mixed(1, 100), small_blocks);
  harness.use_gpus(*cuda, 1.0);
  harness.add_holder();
  harness.add_receiver(0.1);
  harness.link(0, 0);
  harness.run();
  harness.expect_elected(0);
  const std::uint64_t wanted = harness.fetch(0).progress().bytes_wanted;
  EXPECT_GT(wanted, 0U);
  EXPECT_LT(wanted, harness.elected().map.total_bytes() / 2);
  EXPECT_EQ(cuda->traffic().from_device, wanted);
  EXPECT_EQ(cuda->traffic().to_device, wanted);
}

TEST(DeviceTransfer, OfEqualStatesTouchesNothing) {
  InstalledRuntime cuda(FakeRuntime::Worker::nobody);
  FetchHarness harness(1, mixed(1), small_blocks);
  harness.use_gpus(*cuda, 1.0);
  harness.add_holder();
  harness.add_receiver(0.0);
  harness.link(0, 0);
  harness.run();
  harness.expect_elected(0);
  EXPECT_EQ(cuda->traffic().from_device + cuda->traffic().to_device, 0U);
  EXPECT_EQ(cuda->live_pinned_bytes(), 0U);
}

TEST(DeviceTransfer, EndsWhenTheBytesAreThere) {
  InstalledRuntime cuda(FakeRuntime::Worker::nobody);
  FetchHarness harness(1, one_large(20), small_blocks);
  harness.add_holder();
  harness.use_gpus(*cuda, 1.0, 0);
  harness.add_receiver(1.0);
  harness.link(0, 0);
  harness.run(5s);
  EXPECT_EQ(harness.fetch(0).progress().bytes_verified, 20 * small_blocks);
  EXPECT_FALSE(harness.fetch(0).finished());
  EXPECT_TRUE(harness.fetch(0).half_way());
  harness.fetch(0).wait_for_gpus();
  harness.expect_elected(0);
}

// A slow GPU slows the lanes down, and memory stays bounded.
TEST(DeviceTransfer, AsksForNoMoreThanGetsToTheGpu) {
  constexpr std::uint32_t block = 1 << 20;
  Rng rng(1);
  InstalledRuntime cuda(FakeRuntime::Worker::nobody);
  FetchHarness harness(1, test::random_tensors(std::vector<std::uint64_t>{200 * block}, rng),
                       block);
  harness.largest_piece = block;
  harness.add_holder();
  harness.use_gpus(*cuda, 1.0, 0);
  harness.add_receiver(1.0);
  harness.link(0, 0, {.bytes_per_second = 1e9, .delay = 1ms});
  harness.run(2s);
  EXPECT_GE(harness.fetch(0).progress().bytes_verified, 16U * block);
  EXPECT_LT(harness.fetch(0).progress().bytes_verified, 200U * block);
  harness.pieces_a_tick = 3;
  harness.run();
  harness.expect_elected(0);
  EXPECT_LE(cuda->live_pinned_bytes(), 64U << 20);
}

TEST(DeviceTransfer, TheGpuOfAReceiverBreaks) {
  InstalledRuntime cuda(FakeRuntime::Worker::nobody);
  FetchHarness harness(1, one_large(50), small_blocks);
  harness.add_holder();
  harness.use_gpus(*cuda, 1.0, 2);
  harness.add_receiver(1.0);
  harness.link(0, 0);
  harness.run(50ms);
  ASSERT_FALSE(harness.fetch(0).finished());
  EXPECT_EQ(harness.fetch(0).gpu_error(), "");
  cuda->break_down();
  harness.run(1s);
  EXPECT_EQ(harness.fetch(0).gpu_error().substr(5), std::string(broken).substr(5));
  EXPECT_FALSE(harness.fetch(0).finished());
  EXPECT_TRUE(harness.fetch(0).half_way());
  EXPECT_EQ(harness.fetch(0).incomplete_tensors(), std::vector<std::uint32_t>{0});
}

TEST(DeviceTransfer, AGpuThatGivesNoStream) {
  InstalledRuntime cuda(FakeRuntime::Worker::nobody);
  FetchHarness harness(1, one_large(5), small_blocks);
  harness.add_holder();
  harness.use_gpus(*cuda, 1.0);
  harness.add_receiver(1.0);
  harness.link(0, 0);
  cuda->break_down();
  harness.run(1s);
  EXPECT_NE(harness.fetch(0).gpu_error().find("no stream of its own"), std::string::npos);
  EXPECT_FALSE(harness.fetch(0).finished());
}

// Of a packed block the tensors on the host get their own bytes, or none.
TEST(DeviceTransfer, AGpuThatGivesNoStreamForAPartOfABlock) {
  InstalledRuntime cuda(FakeRuntime::Worker::nobody);
  Rng rng(1);
  const State elected(test::random_tensors(std::vector<std::uint64_t>{30, 40, 50}, rng),
                      small_blocks);
  State own(test::Tensors{test::Bytes(30), test::Bytes(40), test::Bytes(50)}, small_blocks);
  own.views[1] = test::on_gpu(*cuda, own.views[1]);
  cuda->break_down();
  DeviceCopies copies;
  copies.scatter(own.views, own.map, 0, elected.block(0));
  EXPECT_NE(copies.error(), "");
  EXPECT_EQ(own.tensors[0], elected.tensors[0]);
  EXPECT_EQ(own.tensors[2], elected.tensors[2]);
}

TEST(DeviceTransfer, NeedsNoPinnedMemory) {
  InstalledRuntime cuda(FakeRuntime::Worker::nobody);
  FetchHarness harness(1, mixed(1), small_blocks);
  harness.use_gpus(*cuda, 1.0);
  harness.add_holder();
  harness.add_receiver(1.0);
  harness.link(0, 0);
  cuda->fail_pinning();
  harness.run();
  harness.expect_elected(0);
  EXPECT_EQ(cuda->live_pinned_bytes(), 0U);
}

class HolderOfGpu : public testing::Test {
 protected:
  static constexpr std::uint32_t block = 1 << 20;
  static test::Tensors content() {
    Rng rng(1);
    return test::random_tensors(std::vector<std::uint64_t>{100 * block}, rng);
  }
  void ask(const PeerId& receiver, std::uint32_t first, std::uint32_t count) {
    std::string why;
    for (std::uint32_t index = first; index < first + count; ++index)
      ASSERT_TRUE(holder.request_arrived(receiver, {What::block, index, 1}, why)) << why;
  }
  void work() {
    while (cuda->step()) {
    }
  }
  void send(const PeerId& receiver) {
    const auto answer = holder.next_answer(receiver);
    ASSERT_TRUE(answer);
    const auto bytes = holder.payload(*answer, 0);
    EXPECT_TRUE(std::ranges::equal(bytes, state.block(answer->index))) << answer->index;
    holder.answer_sent(receiver, *answer);
  }

  InstalledRuntime cuda{FakeRuntime::Worker::nobody};
  const State state{content(), block};
  const test::Views views = test::all_on_gpu(*cuda, state.views);
  std::size_t woken = 0;
  Holder holder{views, state.map, state.digest.blocks, [this] { ++woken; }};
  const PeerId alice{1, 1}, bob{1, 2};
};

TEST_F(HolderOfGpu, CopiesAheadAndWakesTheLanes) {
  ask(alice, 0, 100);
  EXPECT_FALSE(holder.has_answer(alice));
  EXPECT_FALSE(holder.next_answer(alice));
  EXPECT_EQ(cuda->traffic().from_device, 16U * block) << "as much as there is memory for";
  work();
  EXPECT_EQ(woken, 16U);
  for (int sent = 0; sent < 100; ++sent) {
    ASSERT_TRUE(holder.has_answer(alice)) << sent;
    send(alice);
    if (sent % 10 == 9) work();
  }
  EXPECT_FALSE(holder.has_answer(alice));
  EXPECT_EQ(cuda->traffic().from_device, 100U * block) << "each once";
  EXPECT_LE(cuda->live_pinned_bytes(), 20U * block);
}

TEST_F(HolderOfGpu, DigestsWaitForNoBlock) {
  ask(alice, 0, 5);
  std::string why;
  ASSERT_TRUE(holder.request_arrived(alice, {What::digests, 0, 100}, why));
  const auto answer = holder.next_answer(alice);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->what, What::digests);
}

TEST_F(HolderOfGpu, ASlowReceiverLeavesMemoryToOthers) {
  ask(alice, 0, 100);
  ask(bob, 50, 2);
  work();
  send(bob);
  send(bob);
  EXPECT_TRUE(holder.has_answer(alice));
}

// What is being copied for it may not be memory for the next.
TEST_F(HolderOfGpu, AReceiverIsLostWhileItsBlocksAreCopied) {
  ask(alice, 0, 10);
  holder.receiver_lost(alice);
  EXPECT_FALSE(holder.has_answer(alice));
  ask(bob, 10, 10);
  for (int sent = 0; sent < 10; ++sent) work(), send(bob);
  ask(alice, 20, 10);
  for (int sent = 0; sent < 10; ++sent) work(), send(alice);
}

// The copy for the lost one, of another GPU, is carried out when the next block is being sent.
TEST(DeviceTransfer, AnAbandonedCopyKeepsItsMemory) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    InstalledRuntime cuda(FakeRuntime::Worker::nobody, seed);
    Rng rng(seed);
    const State state(
        test::random_tensors(std::vector<std::uint64_t>{small_blocks, small_blocks}, rng),
        small_blocks);
    const test::Views views{test::on_gpu(*cuda, state.views[0], 0),
                            test::on_gpu(*cuda, state.views[1], 1)};
    Holder holder(views, state.map, state.digest.blocks);
    const PeerId alice{1, 1}, bob{1, 2};
    std::string why;
    ASSERT_TRUE(holder.request_arrived(alice, {What::block, 1, 1}, why));
    holder.receiver_lost(alice);
    ASSERT_TRUE(holder.request_arrived(bob, {What::block, 0, 1}, why));
    while (!holder.has_answer(bob)) ASSERT_TRUE(cuda->step());
    const auto answer = holder.next_answer(bob);
    while (cuda->step()) {
    }
    EXPECT_TRUE(std::ranges::equal(holder.payload(*answer, 0), state.block(0))) << seed;
  }
}

TEST_F(HolderOfGpu, BothAskForTheSameBlocks) {
  ask(alice, 0, 5);
  ask(bob, 0, 5);
  work();
  const auto answer = holder.next_answer(alice);
  holder.receiver_lost(bob);
  EXPECT_TRUE(std::ranges::equal(holder.payload(*answer, 0), state.block(0)));
}

TEST_F(HolderOfGpu, SaysThatItsGpuIsBroken) {
  ask(alice, 0, 5);
  cuda->step();
  cuda->step();
  EXPECT_TRUE(holder.has_answer(alice));
  cuda->break_down();
  holder.check_gpus();
  EXPECT_EQ(holder.gpu_error(), broken);
  EXPECT_FALSE(holder.has_answer(alice));
  EXPECT_FALSE(holder.next_answer(alice));
  ask(alice, 5, 5);
}

}  // namespace
}  // namespace pccl::shared_state
