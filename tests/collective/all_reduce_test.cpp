// All-reduce, as a ring and pairwise, over lanes that move bytes in random order and
// pieces: the right result, the same bits on all ranks, for every world, type, op, size and number
// of lanes.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/limits.hpp"
#include "collective/ring_harness.hpp"

namespace pccl::collective {
namespace {

using test::op_key;
using test::OpCase;
using test::RingHarness;

constexpr std::uint64_t kibi = 1024;

void expect_right_there(const test::RingOptions& options, const OpCase& op) {
  SCOPED_TRACE(testing::Message() << "world " << options.world << ", lanes " << options.lanes
                                  << ", seed " << options.seed << ", GPUs " << options.gpus);
  RingHarness ring(options);
  const std::size_t index = ring.add(op);
  ring.launch_everywhere(index);
  ring.run_until_stalled();
  ring.expect_finished_with_right_result(index);
}

// With all ranks in memory of the host; and with all, or some, on GPUs.
void expect_right_as_it_is(test::RingOptions options, const OpCase& op) {
  for (const std::uint64_t which : {std::uint64_t{0}, 3 * options.seed + 1 + options.seed % 2}) {
    options.gpus = test::gpus_of(which, options.world);
    expect_right_there(options, op);
  }
}

void expect_right(const test::RingOptions& options, OpCase op) {
  expect_right_as_it_is(options, op);
  op.pairwise = true;
  if (options.world == 2) expect_right_as_it_is(options, op);
}

class AllReduce : public testing::TestWithParam<std::uint32_t> {
 protected:
  const std::uint32_t world = GetParam();
};
INSTANTIATE_TEST_SUITE_P(Worlds, AllReduce, testing::Range(2u, 9u));

// Counts around the boundaries of chunks, segments and waves; with three lanes, segments overtake
// each other.
TEST_P(AllReduce, AroundEveryBoundary) {
  const std::uint64_t segment = 16, chunk = world * segment, wave = chunk * limits::ring_depth;
  for (const std::uint64_t count :
       std::set<std::uint64_t>{0, 1, world - 1, world, world + 1, chunk - 1, chunk, chunk + 1,
                               wave - 1, wave, wave + 1, wave + chunk + 1, 2 * wave + 3})
    for (std::uint32_t lanes = 1; lanes <= 3; ++lanes)
      for (const bool in_place : {false, true})
        expect_right(
            {.world = world, .lanes = lanes, .seed = count * 8 + lanes, .largest_piece = 40},
            {.count = count, .in_place = in_place, .segment_elements = segment});
}

TEST_P(AllReduce, EveryTypeAndOp) {
  for (std::uint8_t type = 0; type < data_type_count; ++type)
    for (std::uint8_t op = 0; op < red_op_count; ++op)
      for (const bool in_place : {false, true})
        expect_right({.world = world, .lanes = 2, .seed = type * 100u + op},
                     {.count = 100,
                      .type = static_cast<DataType>(type),
                      .op = static_cast<RedOp>(op),
                      .in_place = in_place,
                      .segment_elements = 7});
}

// The schedule that production uses, where segments need credit.
TEST_P(AllReduce, AsProductionCutsIt) {
  for (const std::uint64_t chunk_bytes :
       {5 * kibi, 16 * kibi + 4, 64 * kibi, 256 * kibi + 8, 1024 * kibi - 4, 1024 * kibi + 4})
    expect_right({.world = world, .lanes = 1 + world % 3, .seed = chunk_bytes},
                 {.count = chunk_bytes / 4 * world + 1,
                  .type = DataType::float32,
                  .in_place = chunk_bytes % 8 == 0});
}

TEST(AllReduceLarge, ManyWavesOfLargeSegments) {
  for (const std::uint32_t world : {2u, 3u})
    expect_right({.world = world, .lanes = 2, .seed = 5},
                 {.count = 20 * limits::segment_bytes * world / 8 + 11,
                  .type = DataType::float64,
                  .in_place = true});
}

// With values whose sum depends on the order, too: of a ring one rank finishes an element and the
// others copy; pairwise both finish all.
void expect_same_bits(DataType type, bool pairwise) {
  const std::uint32_t world = pairwise ? 2 : 5;
  constexpr std::uint64_t count = 1003;
  Rng rng(9);
  std::vector<test::Bytes> buffers(world, test::Bytes(count * size_of(type)));
  for (auto& buffer : buffers)
    for (std::byte& byte : buffer) byte = static_cast<std::byte>(rng.below(256));
  RingHarness ring({.world = world, .lanes = 2});
  const OpKey key = op_key(3);
  std::vector<std::shared_ptr<RingOp>> running;
  for (std::uint32_t rank = 0; rank < world; ++rank) {
    std::byte* const data = buffers[rank].data();
    running.push_back(ring.exchange(rank).start(
        key, plan::RingSchedule(rank, world, count, 10, limits::ring_depth, pairwise),
        {data, data, type, RedOp::avg}));
  }
  ring.run_until_stalled();
  for (std::uint32_t rank = 0; rank < world; ++rank) {
    EXPECT_TRUE(running[rank]->finished());
    EXPECT_TRUE(buffers[rank] == buffers[0]) << "rank " << rank << ", " << name_of(type);
  }
}

TEST(AllReduceBits, AreTheSameOnAllRanksForAnyBits) {
  for (const DataType type : {DataType::float32, DataType::bfloat16, DataType::float64})
    for (const bool pairwise : {false, true}) expect_same_bits(type, pairwise);
}

}  // namespace
}  // namespace pccl::collective
