// What comes out of all-reduces over hosts with several GPUs each.
#include <gtest/gtest.h>

#include <cstring>
#include <thread>
#include <vector>

#include "hierarchical/hosts_with_gpus.hpp"

namespace pccl::hierarchical {
namespace {

using Hierarchical = HostsWithGpus;

TEST_F(Hierarchical, ReducesWhateverTheCount) {
  for (const std::size_t locals : {1u, 2u, 3u, 4u}) {
    SCOPED_TRACE(locals);
    make(2, locals);
    for (const std::size_t count :
         {std::size_t{0}, std::size_t{1}, locals - 1, locals, locals + 1, std::size_t{1000}})
      for (const bool in_place : {false, true})
        expect_reduced(DataType::float32, RedOp::sum, count, in_place);
  }
}

TEST_F(Hierarchical, ReducesEveryTypeWithEveryOp) {
  make(2, 3);
  for (unsigned type = 0; type < data_type_count; ++type) {
    if (!device::nccl_type(static_cast<DataType>(type))) continue;
    for (unsigned op = 0; op < red_op_count; ++op)
      expect_reduced(static_cast<DataType>(type), static_cast<RedOp>(op), 100, op % 2 == 0);
  }
}

TEST_F(Hierarchical, AsksAcrossHostsForAShardOfWhatIsWanted) {
  make(2, 3);
  on_all([&](Rank& rank) {
    std::byte* const buffer = input(rank, DataType::float32, 11);
    ReduceRequest wanted = request(DataType::float32, RedOp::avg, 11, buffer, buffer);
    wanted.quantization = {QuantizationAlgorithm::min_max, Code::uint8};
    ASSERT_TRUE(launch(rank, {}, wanted).ok());
    EXPECT_TRUE(rank.reducer->in_flight(5));
    // The shard is complete by now: nothing has to be waited for before it is sent.
    for (const ReduceRequest& shard : groups[rank.local]->of(5)) {
      EXPECT_EQ(shard.count, 4);
      EXPECT_EQ(shard.quantization, wanted.quantization);
      EXPECT_EQ(shard.on_gpu.location.place, device::Place::cuda);
      EXPECT_EQ(shard.on_gpu.location, device::location_of(shard.send));
      EXPECT_NE(shard.on_gpu.stream, nullptr);
      EXPECT_NE(shard.on_gpu.stream, rank.application);
    }
    ReduceInfo info;
    EXPECT_TRUE(rank.reducer->await(rank.across, 5, info).ok());
    EXPECT_FALSE(rank.reducer->in_flight(5));
    EXPECT_EQ(rank.reducer->await(rank.across, 5, info).status, Status::peer_lost);
  });
}

// The tail is filled up with one of its own elements: a stranger could widen a quantized block.
TEST_F(Hierarchical, FillsUpTheTailWithItsLastElement) {
  make(1, 4);
  on_all([&](Rank& rank) {
    std::byte* const buffer = input(rank, DataType::float32, 5);
    const ReduceRequest wanted = request(DataType::float32, RedOp::max, 5, buffer, buffer);
    ASSERT_TRUE(launch(rank, {}, wanted).ok());
    const auto shards = groups[rank.local]->of(5);
    ASSERT_EQ(shards.size(), 1);
    const auto all = expected(DataType::float32, RedOp::max, 5);
    EXPECT_EQ(std::memcmp(static_cast<const float*>(shards[0].send) + 1, all.data() + 16, 4), 0);
    ReduceInfo info;
    EXPECT_TRUE(rank.reducer->await(rank.across, 5, info).ok());
  });
}

TEST_F(Hierarchical, HasManyInFlight) {
  make(2, 2);
  constexpr std::uint64_t ops = 5;
  on_all([&](Rank& rank) {
    std::vector<std::byte*> buffers;
    for (std::uint64_t tag = 0; tag < ops; ++tag) {
      buffers.push_back(input(rank, DataType::int32, 100 + tag));
      const Outcome outcome =
          launch(rank, {},
                 request(DataType::int32, RedOp::sum, 100 + tag, buffers[tag], buffers[tag], tag));
      ASSERT_TRUE(outcome.ok()) << outcome.why;
    }
    for (const std::uint64_t tag : {3u, 0u, 4u, 1u, 2u}) {
      ReduceInfo info;
      ASSERT_TRUE(rank.reducer->await(rank.across, tag, info).ok());
      EXPECT_EQ(bytes_at(buffers[tag], DataType::int32, 100 + tag),
                expected(DataType::int32, RedOp::sum, 100 + tag));
    }
  });
}

TEST_F(Hierarchical, WaitsForTheStreamThatMakesTheInput) {
  make(2, 2);
  for (const auto& rank : ranks) cuda->hold(rank->application, rank->gpu);
  std::thread application([&] {
    cuda->await_who_waits();
    for (const auto& rank : ranks) cuda->let_go(rank->application, rank->gpu);
  });
  expect_reduced(DataType::float32, RedOp::sum, 1001, false);
  application.join();
}

TEST_F(Hierarchical, WorksWithCommunicatorsThatDoNotBlock) {
  make(2, 2);
  for (const auto& rank : ranks) nccl->do_not_block(rank->comm);
  expect_reduced(DataType::float32, RedOp::sum, 1001, true);
}

TEST_F(Hierarchical, LoadsItsKernelsBeforeAnythingMoves) {
  make(1, 2);
  on_all([&](Rank& rank) {
    std::byte* const buffer = input(rank, DataType::float32, 10);
    // Of the rank's first piece of work, which is to agree.
    nccl->when_called(rank.comm, 0, [&] {
      EXPECT_TRUE(cuda->is_loaded(rank.gpu, RedOp::avg, DataType::float32));  // divides
      EXPECT_TRUE(cuda->is_loaded(rank.gpu, RedOp::sum, DataType::float32));  // across hosts
    });
    ASSERT_TRUE(launch(rank, {}, request(DataType::float32, RedOp::avg, 10, buffer, buffer)).ok());
    ReduceInfo info;
    EXPECT_TRUE(rank.reducer->await(rank.across, 5, info).ok());
  });
}

}  // namespace
}  // namespace pccl::hierarchical
