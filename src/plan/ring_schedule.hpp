// The ring all-reduce as arithmetic (reduce-scatter, then all-gather: Patarasu & Yuan, JPDC 2009),
// apart from any sending, so that a loop can prove it for every world size.
//
// A tensor is cut into one *chunk* per rank, a chunk into `slices` *segments* of equal size (the
// last may be shorter or empty). The segments with the same index, one of each chunk, form a
// *slice*: a small ring all-reduce of its own, of 2(n-1) *steps*. Slices are taken in *waves* of at
// most `depth`; within a wave all slices take step 0, then all take step 1, and so on. This puts
// everything that a rank sends in one order, the same on every rank: the *position*. What a rank
// sends at a position of step t > 0 it received one wave's width earlier, so up to `depth` segments
// are under way at any time and a wave follows the one before without a gap.
//
// Two ranks may also exchange *pairwise*: one chunk and one step, in which each sends all that it
// has and reduces what comes. That is as many bytes as the ring of two has in its two steps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/time.hpp"

namespace pccl::plan {

struct RingStep {
  std::uint32_t send_chunk;
  std::uint32_t receive_chunk;
};

// Step t of 2(n-1): the first n-1 reduce and leave chunk (rank + 1) mod n complete on `rank`, the
// others gather.
constexpr RingStep ring_step(std::uint32_t rank, std::uint32_t world, std::uint32_t step) {
  const std::uint32_t sent = (rank + 2 * world - step) % world;
  return {sent, (sent + world - 1) % world};
}

// Elements [begin, begin + count) of the tensor.
struct Range {
  std::uint64_t begin = 0;
  std::uint64_t count = 0;
};

// What moves at one position.
struct Transfer {
  std::uint32_t step = 0;
  std::uint32_t slice = 0;
};

// What a schedule depends on beside the tensor; the same on every rank.
struct Travel {
  Duration rtt{};         // the longest of the ring
  double wire_share = 1;  // of an element's bytes, what travels
  bool pairwise = false;  // of two ranks, instead of the ring
};

class RingSchedule {
 public:
  // world >= 2. `segment_elements` >= 1 and `depth` >= 1 must be the same on every rank.
  RingSchedule(std::uint32_t rank, std::uint32_t world, std::uint64_t count,
               std::uint64_t segment_elements, std::uint32_t depth, bool pairwise = false);

  // The schedule that every rank of an op uses: segments small enough that a slice is pipelined,
  // waves wide enough that what a step needs has come by the time it is its turn.
  static RingSchedule choose(std::uint32_t rank, std::uint32_t world, std::uint64_t count,
                             std::size_t element_bytes, const Travel& travel = {});

  std::uint32_t rank() const { return rank_; }
  std::uint32_t world() const { return world_; }
  std::uint32_t steps() const { return pairwise_ ? 1 : 2 * (world_ - 1); }
  bool pairwise() const { return pairwise_; }
  std::uint64_t count() const { return count_; }
  std::uint32_t slices() const { return slices_; }
  std::uint32_t depth() const { return depth_; }
  std::uint32_t positions() const { return slices_ * steps(); }
  // Its first wave is whole, and nowhere is the way so long that a link would wait for it.
  bool fills_short_link() const { return short_link_ && slices_ >= depth_; }

  Transfer transfer(std::uint32_t position) const;
  Range sent(std::uint32_t position) const;      // what this rank sends at `position`
  Range received(std::uint32_t position) const;  // what the previous rank sends at `position`

  // The position whose receipt must precede sending `position`; nothing for step 0.
  std::optional<std::uint32_t> needs(std::uint32_t position) const;
  // The position at which this rank sends on what it received at `position`; nothing for the last
  // step.
  std::optional<std::uint32_t> feeds(std::uint32_t position) const;

  bool reduces(const Transfer& transfer) const { return transfer.step + 1 < world_; }
  // The last reducing step: what comes out is the result of all ranks.
  bool completes(const Transfer& transfer) const { return transfer.step + 2 == world_; }

 private:
  std::uint32_t chunks() const { return pairwise_ ? 1 : world_; }
  RingStep chunks_at(std::uint32_t step) const;
  Range segment(std::uint32_t chunk, std::uint32_t slice) const;
  std::uint32_t wave_width(std::uint32_t slice) const;

  std::uint32_t rank_;
  std::uint32_t world_;
  std::uint64_t count_;
  std::uint64_t segment_elements_;
  std::uint32_t depth_;
  bool pairwise_;
  bool short_link_ = false;
  std::uint32_t slices_;
};

}  // namespace pccl::plan
