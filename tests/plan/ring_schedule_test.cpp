// The ring all-reduce proven by loops: every rank's schedule is walked position by position, with
// sets of ranks in place of sums.
#include "plan/ring_schedule.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "base/limits.hpp"
#include "plan/lane_count.hpp"

namespace pccl::plan {
namespace {

bool operator==(const Range& a, const Range& b) {
  return a.begin == b.begin && a.count == b.count;
}

using Contributors = std::uint32_t;  // bit r: rank r's input is in it, once

struct Shape {
  std::uint32_t world;
  std::uint64_t count;
  std::uint64_t segment_elements;
  std::uint32_t depth;
  bool pairwise;

  RingSchedule of(std::uint32_t rank) const {
    return {rank, world, count, segment_elements, depth, pairwise};
  }
};

std::ostream& operator<<(std::ostream& out, const Shape& shape) {
  return out << "world " << shape.world << ", count " << shape.count << ", segments of "
             << shape.segment_elements << ", depth " << shape.depth
             << (shape.pairwise ? ", pairwise" : "");
}

std::vector<RingSchedule> schedules(const Shape& shape) {
  std::vector<RingSchedule> all;
  for (std::uint32_t rank = 0; rank < shape.world; ++rank) all.push_back(shape.of(rank));
  return all;
}

// Calls `check` for every world 2..17, for two also pairwise, and the sizes and cuts around
// which off-by-ones live.
template <typename Check>
void for_every_shape(const Check& check) {
  std::size_t shapes = 0;
  for (std::uint32_t world = 2; world <= 17; ++world)
    for (const std::uint64_t segment : {1u, 2u, 5u, 64u})
      for (const std::uint32_t depth : {1u, 2u, 3u, 8u, 50u}) {
        const std::uint64_t wave = world * segment * depth;
        for (const std::uint64_t count : std::set<std::uint64_t>{
                 0, 1, world - 1, world, world + 1, world * segment - 1, world * segment,
                 world * segment + 1, wave - 1, wave + 1, 2 * wave + world * segment + 1}) {
          if (count > 40'000) continue;  // the loops, not the compiler, do this proof
          for (const bool pairwise : {false, true}) {
            if (pairwise && world > 2) continue;
            const Shape shape{world, count, segment, depth, pairwise};
            check(shape);
            ++shapes;
            if (testing::Test::HasFailure()) FAIL() << shape;
          }
        }
      }
  EXPECT_GT(shapes, 3000u);
}

TEST(RingStep, LeavesTheNextChunkWithItsOwnerAndThenGathersTheOthers) {
  for (std::uint32_t world = 2; world <= 17; ++world)
    for (std::uint32_t rank = 0; rank < world; ++rank) {
      const std::uint32_t previous = (rank + world - 1) % world;
      EXPECT_EQ(ring_step(rank, world, 0).send_chunk, rank);
      EXPECT_EQ(ring_step(rank, world, world - 2).receive_chunk, (rank + 1) % world);
      EXPECT_EQ(ring_step(rank, world, world - 1).send_chunk, (rank + 1) % world);
      for (std::uint32_t step = 0; step < 2 * (world - 1); ++step) {
        EXPECT_EQ(ring_step(rank, world, step).receive_chunk,
                  ring_step(previous, world, step).send_chunk);
        if (step > 0) {
          EXPECT_EQ(ring_step(rank, world, step).send_chunk,
                    ring_step(rank, world, step - 1).receive_chunk);
        }
      }
    }
}

TEST(RingSchedule, WhatARankSendsIsWhatTheNextOneReceives) {
  for_every_shape([](const Shape& shape) {
    const auto ranks = schedules(shape);
    for (std::uint32_t rank = 0; rank < shape.world; ++rank) {
      const RingSchedule& next = ranks[(rank + 1) % shape.world];
      ASSERT_EQ(next.positions(), ranks[rank].positions());
      for (std::uint32_t position = 0; position < next.positions(); ++position)
        ASSERT_TRUE(ranks[rank].sent(position) == next.received(position)) << position;
    }
  });
}

TEST(RingSchedule, SegmentsAreNeverLongerThanAsked) {
  for_every_shape([](const Shape& shape) {
    const RingSchedule schedule = shape.of(0);
    for (std::uint32_t position = 0; position < schedule.positions(); ++position) {
      ASSERT_LE(schedule.sent(position).count, shape.segment_elements);
      const Range range = schedule.sent(position);
      ASSERT_LE(range.begin + range.count, shape.count);
    }
  });
}

TEST(RingSchedule, EveryPositionIsOneStepOfOneSlice) {
  for_every_shape([](const Shape& shape) {
    const RingSchedule schedule = shape.of(0);
    std::set<std::pair<std::uint32_t, std::uint32_t>> seen;
    for (std::uint32_t position = 0; position < schedule.positions(); ++position) {
      const Transfer transfer = schedule.transfer(position);
      ASSERT_LT(transfer.step, schedule.steps());
      ASSERT_LT(transfer.slice, schedule.slices());
      ASSERT_TRUE(seen.insert({transfer.step, transfer.slice}).second) << position;
    }
    ASSERT_EQ(seen.size(), schedule.slices() * schedule.steps());
  });
}

// `needs` is where the data comes from and `feeds` where it goes: the same segment of the same
// slice, one step earlier or later, and never more than `depth` positions away.
TEST(RingSchedule, NeedsAndFeedsAreTheDataDependency) {
  for_every_shape([](const Shape& shape) {
    const RingSchedule schedule = shape.of(1);
    for (std::uint32_t position = 0; position < schedule.positions(); ++position) {
      const Transfer transfer = schedule.transfer(position);
      const auto needed = schedule.needs(position);
      ASSERT_EQ(needed.has_value(), transfer.step > 0);
      if (needed) {
        ASSERT_LT(*needed, position);
        ASSERT_LE(position - *needed, shape.depth);
        ASSERT_EQ(schedule.feeds(*needed), position);
        ASSERT_EQ(schedule.transfer(*needed).step + 1, transfer.step);
        ASSERT_EQ(schedule.transfer(*needed).slice, transfer.slice);
        ASSERT_TRUE(schedule.received(*needed) == schedule.sent(position));
      }
      const auto fed = schedule.feeds(position);
      ASSERT_EQ(fed.has_value(), transfer.step + 1 < schedule.steps());
      if (fed) {
        ASSERT_LT(*fed, schedule.positions());
        ASSERT_EQ(schedule.needs(*fed), position);
      }
    }
  });
}

// Walks all ranks through all positions in order and keeps the contributors of every segment.
class SymbolicRing {
 public:
  explicit SymbolicRing(const Shape& shape)
      : shape_(shape), ranks_(schedules(shape)), held_(shape.world), results_(shape.world) {}

  void run() {
    const std::uint32_t positions = ranks_.front().positions();
    for (auto& held : held_) held.resize(positions);
    for (std::uint32_t position = 0; position < positions; ++position)
      for (std::uint32_t rank = 0; rank < shape_.world; ++rank) {
        pass(rank, (rank + 1) % shape_.world, position);
        if (testing::Test::HasFatalFailure()) return;
      }
    for (auto& result : results_) expect_whole(result);
  }

 private:
  void pass(std::uint32_t from, std::uint32_t to, std::uint32_t position) {
    const auto needed = ranks_[from].needs(position);
    const Contributors sent = needed ? held_[from][*needed] : Contributors{1} << from;
    const RingSchedule& receiver = ranks_[to];
    const Transfer transfer = receiver.transfer(position);
    const Contributors own = Contributors{1} << to, all = (Contributors{1} << shape_.world) - 1;
    Contributors& held = held_[to][position];
    ASSERT_EQ(held, 0u);
    if (receiver.reduces(transfer)) {
      ASSERT_EQ(sent & own, 0u) << "rank " << to << " would be added twice";
      held = sent | own;
      ASSERT_EQ(receiver.completes(transfer), held == all);
    } else {
      ASSERT_EQ(sent, all) << "gathered before it was complete";
      held = sent;
    }
    if (held == all) results_[to].push_back(receiver.received(position));
  }

  // Every element of the tensor was written exactly once.
  void expect_whole(std::vector<Range>& written) {
    std::erase_if(written, [](const Range& range) { return range.count == 0; });
    std::sort(written.begin(), written.end(),
              [](const Range& a, const Range& b) { return a.begin < b.begin; });
    std::uint64_t reached = 0;
    for (const Range& range : written) {
      ASSERT_EQ(range.begin, reached);
      reached += range.count;
    }
    ASSERT_EQ(reached, shape_.count);
  }

  Shape shape_;
  std::vector<RingSchedule> ranks_;
  std::vector<std::vector<Contributors>> held_;  // by rank and position of receipt
  std::vector<std::vector<Range>> results_;
};

TEST(RingSchedule, EveryElementIsReducedOnceFromEveryRankAndReachesEveryRank) {
  for_every_shape([](const Shape& shape) { SymbolicRing(shape).run(); });
}

// ---- choose

constexpr std::uint64_t mebi = std::uint64_t{1} << 20;

TEST(ChosenSchedule, PairwiseHasOneStepOfAllElements) {
  const RingSchedule schedule =
      RingSchedule::choose(1, 2, mebi / 4, 4, {.rtt = {}, .wire_share = 1, .pairwise = true});
  EXPECT_TRUE(schedule.pairwise());
  EXPECT_EQ(schedule.steps(), 1u);
  EXPECT_EQ(schedule.positions(), 4u);
  for (std::uint32_t position = 0; position < 4; ++position) {
    EXPECT_EQ(schedule.sent(position).begin, position * mebi / 16);
    EXPECT_TRUE(schedule.sent(position) == schedule.received(position));
  }
}

TEST(ChosenSchedule, KeepsSegmentsWithinTheirLimitsOnAllRanks) {
  for (const std::uint32_t world : {2u, 3u, 7u, 64u, 1000u, 4096u})
    for (const std::size_t element_bytes : {1u, 2u, 4u, 8u})
      for (const std::uint64_t count :
           {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{world}, std::uint64_t{4097}, mebi,
            mebi + 1, 1024 * mebi, 64 * 1024 * mebi}) {
        const auto first = RingSchedule::choose(0, world, count, element_bytes);
        const auto last = RingSchedule::choose(world - 1, world, count, element_bytes);
        ASSERT_EQ(first.positions(), last.positions());
        ASSERT_EQ(first.depth(), limits::ring_depth);
        // The positions have not been cut short by their 32 bits.
        const std::uint64_t longest_chunk = (count + world - 1) / world * element_bytes;
        ASSERT_GE(std::uint64_t{first.slices()} * limits::segment_bytes, longest_chunk);
        ASSERT_EQ(std::uint64_t{first.slices()} * first.steps(), first.positions());
        for (const std::uint32_t position :
             {0u, first.positions() / 3, first.positions() / 2, first.positions() - 1}) {
          ASSERT_LE(first.sent(position).count * element_bytes, limits::segment_bytes);
          ASSERT_LE(first.received(position).count * element_bytes, limits::segment_bytes);
        }
      }
}

TEST(ChosenSchedule, WavesKeepHalfARoundTripUnderWayBetweenTheirLimits) {
  const auto depth = [](Duration rtt) {
    return RingSchedule::choose(0, 2, 1024 * mebi, 4, {rtt}).depth();
  };
  using namespace std::chrono_literals;
  EXPECT_EQ(depth(0s), limits::ring_depth);
  EXPECT_EQ(depth(1ms), limits::ring_depth);
  const double segments_a_second = limits::ring_bytes_per_second / limits::segment_bytes;
  EXPECT_EQ(depth(40ms), static_cast<std::uint32_t>(0.020 * segments_a_second) + 1);
  EXPECT_EQ(depth(200ms), limits::longest_ring_depth);
  EXPECT_EQ(depth(100h), limits::longest_ring_depth);
  // Small segments need more of them.
  EXPECT_GT(RingSchedule::choose(0, 2, mebi / 8, 4, {5ms}).depth(), depth(5ms));
  // Codes are short on their way: a quarter of the bytes, four times as many.
  const RingSchedule codes = RingSchedule::choose(0, 2, 1024 * mebi, 4, {10ms, 0.25});
  EXPECT_EQ(codes.sent(0).count, limits::segment_bytes / 4);
  EXPECT_EQ(codes.depth(), static_cast<std::uint32_t>(4 * 0.005 * segments_a_second) + 1);
}

TEST(Lanes, AsManyAsTheRoundTripWants) {
  using namespace std::chrono_literals;
  EXPECT_EQ(lanes_for(0s), limits::fewest_automatic_lanes);
  EXPECT_EQ(lanes_for(50us), limits::fewest_automatic_lanes);
  EXPECT_GT(lanes_for(40ms), limits::fewest_automatic_lanes);
  EXPECT_EQ(lanes_for(100ms), limits::most_automatic_lanes);
  EXPECT_EQ(lanes_for(100h), limits::most_automatic_lanes);
}

TEST(ChosenSchedule, CutsAChunkInFourBetweenTheSmallestAndTheLargestSegment) {
  const auto segment_bytes = [](std::uint64_t chunk_bytes) {
    return RingSchedule::choose(0, 2, chunk_bytes / 2, 4).sent(0).count * 4;
  };
  EXPECT_EQ(segment_bytes(16), 16u);
  EXPECT_EQ(segment_bytes(limits::smallest_segment_bytes), limits::smallest_segment_bytes);
  EXPECT_EQ(segment_bytes(2 * limits::smallest_segment_bytes), limits::smallest_segment_bytes);
  EXPECT_EQ(segment_bytes(3 * limits::segment_bytes), 3 * limits::segment_bytes / 4);
  EXPECT_EQ(segment_bytes(4 * limits::segment_bytes), limits::segment_bytes);
  EXPECT_EQ(segment_bytes(100 * limits::segment_bytes), limits::segment_bytes);
}

}  // namespace
}  // namespace pccl::plan
