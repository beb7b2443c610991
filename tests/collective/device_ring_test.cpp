// What a ring in memory of a GPU owes beside the right result (all_reduce_test, quantized_test and
// cancel_test run on GPUs as well): what crosses the bus, when the operands are read, what is left
// behind.
#include "collective/device_ring.hpp"

#include <gtest/gtest.h>

#include <cstring>

#include "collective/ring_harness.hpp"

namespace pccl::collective {
namespace {

using test::op_key;
using test::OpCase;
using test::RingHarness;

constexpr std::uint64_t count = 2 << 20;
constexpr std::uint32_t both = 3;

pccl_test::FakeRuntime::Traffic traffic_of(const OpCase& what) {
  RingHarness ring({.world = 2, .lanes = 2, .seed = 7, .gpus = both});
  const std::size_t op = ring.add(what);
  ring.launch_everywhere(op);
  ring.run_until_stalled();
  ring.expect_finished_with_right_result(op);
  return ring.cuda().traffic();
}

// Each rank of two sends and receives the tensor once: so often it crosses the bus each way.
TEST(DeviceRing, CopiesWhatTravelsAndNoMore) {
  for (const bool pairwise : {false, true}) {
    const auto full = traffic_of({.count = count, .type = DataType::float32, .pairwise = pairwise});
    EXPECT_EQ(full.to_device, 2 * 4 * count);
    EXPECT_EQ(full.from_device, 2 * 4 * count);
    EXPECT_EQ(full.on_device, 0u);
  }
}

TEST(DeviceRing, CopiesCodesOnly) {
  const auto codes = traffic_of({.count = count,
                                 .type = DataType::float32,
                                 .quantization = {QuantizationAlgorithm::min_max, Code::uint8}});
  EXPECT_LE(static_cast<double>(codes.to_device), 0.27 * 2 * 4 * count);
  EXPECT_LE(static_cast<double>(codes.from_device), 0.27 * 2 * 4 * count);
  EXPECT_GE(codes.to_device, 2 * count);
}

// The way back of an in-place op stays where it is.
TEST(DeviceRing, KeepsCopiesOnTheDevice) {
  const auto in_place = traffic_of({.count = count, .type = DataType::float32, .in_place = true});
  EXPECT_EQ(in_place.to_device, 2 * 4 * count);
  EXPECT_EQ(in_place.from_device, 2 * 4 * count);
  EXPECT_EQ(in_place.on_device, 2 * 4 * count);
}

// An op begins when the application's work has been done, and nobody waits for that.
TEST(DeviceRing, ReadsAfterTheApplicationsWork) {
  RingHarness ring({.world = 2, .seed = 3, .gpus = both});
  ring.cuda().hold(nullptr);
  const std::size_t op = ring.add({.count = 5000, .in_place = true, .segment_elements = 100});
  ring.launch_everywhere(op);
  ring.run_until_stalled();
  EXPECT_FALSE(ring.finished(0, op));
  EXPECT_EQ(ring.exchange(0).gpu_failure(), "");
  ring.cuda().let_go(nullptr);
  ring.run_until_stalled();
  ring.expect_finished_with_right_result(op);
}

TEST(DeviceRing, LeavesNothingBehindHoweverOftenItIsCancelled) {
  RingHarness ring({.world = 3, .lanes = 2, .seed = 5, .largest_piece = 2000, .gpus = 7});
  std::size_t pinned = 0, on_gpu = 0;
  for (std::uint32_t launch = 0; launch < 1000; ++launch) {
    const std::size_t op = ring.add({.key = op_key(1, launch),
                                     .count = 4000,
                                     .in_place = launch % 2 == 0,
                                     .segment_elements = 100});
    ring.launch_everywhere(op);
    for (std::uint64_t sweeps = ring.rng().below(40); sweeps > 0; --sweeps) ring.sweep();
    for (std::uint32_t rank = 0; rank < 3; ++rank) {
      ring.cancel(rank, op);
      ring.roll_back(rank, op);
    }
    ring.run_until_stalled();
    ring.release(op);
    if (launch == 100) {
      pinned = ring.cuda().live_pinned_bytes();
      on_gpu = ring.cuda().live_device_bytes();
    }
  }
  // What is kept for the next op, and as much as the ranks have needed at once.
  EXPECT_LE(ring.cuda().live_pinned_bytes(), pinned + 4 * limits::segment_bytes);
  EXPECT_LE(ring.cuda().live_device_bytes(), on_gpu + limits::segment_bytes);
  for (std::uint32_t rank = 0; rank < 3; ++rank)
    EXPECT_EQ(ring.exchange(rank).pinned_in_use(), 0u);
}

TEST(DeviceRing, OfAGpuThatFailsSaysSoAndNeverFinishes) {
  RingHarness ring({.world = 2, .seed = 4, .largest_piece = 2000, .gpus = 1});
  const std::size_t op = ring.add({.count = 50'000, .in_place = true, .segment_elements = 100});
  ring.launch_everywhere(op);
  for (int sweeps = 0; sweeps < 30; ++sweeps) ring.sweep();
  ring.cuda().break_down();
  ring.run_until_stalled();
  EXPECT_FALSE(ring.finished(0, op));
  EXPECT_EQ(ring.exchange(0).gpu_failure(), "GPU 0: unspecified launch failure");
  EXPECT_EQ(ring.exchange(1).gpu_failure(), "");
  for (const std::uint32_t rank : {0u, 1u}) ring.cancel(rank, op);
  ring.roll_back(1, op);
  ring.forget(0, op);
}

// Pageable blocks do as well.
TEST(DeviceRing, DoesWithoutPinnedMemory) {
  RingHarness ring({.world = 2, .seed = 6, .gpus = both});
  const std::size_t op = ring.add({.count = 50'000, .segment_elements = 1000});
  ring.launch_everywhere(ring.add({.key = op_key(2), .count = 1}));  // makes the workspaces
  ring.run_until_stalled();
  ring.cuda().fail_pinning();
  ring.launch_everywhere(op);
  ring.run_until_stalled();
  ring.expect_finished_with_right_result(op);
}

}  // namespace
}  // namespace pccl::collective
