#include "plan/ring_schedule.hpp"

#include <algorithm>
#include <cmath>

#include "base/limits.hpp"
#include "base/status.hpp"

namespace pccl::plan {

namespace {

// The first count % chunks of them are one element longer.
Range chunk_range(std::uint64_t count, std::uint32_t chunks, std::uint32_t chunk) {
  const std::uint64_t share = count / chunks, rest = count % chunks;
  return {chunk * share + std::min<std::uint64_t>(chunk, rest), share + (chunk < rest ? 1 : 0)};
}

}  // namespace

RingSchedule::RingSchedule(std::uint32_t rank, std::uint32_t world, std::uint64_t count,
                           std::uint64_t segment_elements, std::uint32_t depth, bool pairwise)
    : rank_(rank),
      world_(world),
      count_(count),
      segment_elements_(segment_elements),
      depth_(depth),
      pairwise_(pairwise) {
  PCCL_INVARIANT(!pairwise || world == 2);
  const std::uint64_t longest_chunk = (count + chunks() - 1) / chunks();
  slices_ = static_cast<std::uint32_t>(
      std::max<std::uint64_t>(1, (longest_chunk + segment_elements - 1) / segment_elements));
}

RingSchedule RingSchedule::choose(std::uint32_t rank, std::uint32_t world, std::uint64_t count,
                                  std::size_t element_bytes, const Travel& travel) {
  const std::uint32_t chunks = travel.pairwise ? 1 : world;
  const std::uint64_t chunk_bytes = (count + chunks - 1) / chunks * element_bytes;
  // Four segments a chunk keep sending, receiving and reducing busy at once; tiny segments cost
  // more than they hide.
  const std::uint64_t bytes = std::clamp<std::uint64_t>(
      (chunk_bytes + 3) / 4, limits::smallest_segment_bytes, limits::segment_bytes);
  const double under_way = seconds(travel.rtt) / 2 * limits::ring_bytes_per_second;  // on one link
  const double segments = std::ceil(under_way / (static_cast<double>(bytes) * travel.wire_share));
  const auto depth = static_cast<std::uint32_t>(
      std::clamp<double>(segments, limits::ring_depth, limits::longest_ring_depth));
  RingSchedule chosen(rank, world, count, std::max<std::uint64_t>(1, bytes / element_bytes), depth,
                      travel.pairwise);
  chosen.short_link_ = travel.rtt <= limits::short_link_rtt;
  return chosen;
}

RingStep RingSchedule::chunks_at(std::uint32_t step) const {
  return pairwise_ ? RingStep{0, 0} : ring_step(rank_, world_, step);
}

Range RingSchedule::segment(std::uint32_t chunk, std::uint32_t slice) const {
  const Range whole = chunk_range(count_, chunks(), chunk);
  const std::uint64_t skipped = std::min(whole.count, slice * segment_elements_);
  return {whole.begin + skipped, std::min(segment_elements_, whole.count - skipped)};
}

std::uint32_t RingSchedule::wave_width(std::uint32_t slice) const {
  const std::uint32_t first = slice / depth_ * depth_;
  return std::min(depth_, slices_ - first);
}

Transfer RingSchedule::transfer(std::uint32_t position) const {
  const std::uint32_t first = position / (depth_ * steps()) * depth_;  // slice that opens the wave
  const std::uint32_t width = wave_width(first);
  const std::uint32_t within = position - first * steps();
  return {within / width, first + within % width};
}

Range RingSchedule::sent(std::uint32_t position) const {
  const Transfer what = transfer(position);
  return segment(chunks_at(what.step).send_chunk, what.slice);
}

Range RingSchedule::received(std::uint32_t position) const {
  const Transfer what = transfer(position);
  return segment(chunks_at(what.step).receive_chunk, what.slice);
}

std::optional<std::uint32_t> RingSchedule::needs(std::uint32_t position) const {
  const Transfer what = transfer(position);
  if (what.step == 0) return std::nullopt;
  return position - wave_width(what.slice);
}

std::optional<std::uint32_t> RingSchedule::feeds(std::uint32_t position) const {
  const Transfer what = transfer(position);
  if (what.step + 1 == steps()) return std::nullopt;
  return position + wave_width(what.slice);
}

}  // namespace pccl::plan
