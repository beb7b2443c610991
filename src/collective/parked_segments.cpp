#include "collective/parked_segments.hpp"

#include "base/limits.hpp"

namespace pccl::collective {

namespace {

bool fills_a_block(std::uint32_t length) {
  return length >= limits::segment_bytes / 2 && length <= limits::segment_bytes;
}

}  // namespace

bool ParkedSegments::expect(const OpKey& op, std::uint32_t position, std::uint32_t length) {
  const std::size_t cost = limits::eager_cost(length);
  if (bytes_ + cost > budget_) drop_before(op.epoch);
  if (contains(op, position) || bytes_ + cost > budget_) return false;
  Segment& segment = parked_[{op, position}];
  segment.length = length;
  if (fills_a_block(length))
    segment.block = scratch_.take();
  else
    segment.bytes = std::make_unique_for_overwrite<std::byte[]>(length);
  bytes_ += cost;
  return true;
}

std::span<std::byte> ParkedSegments::destination(const OpKey& op, std::uint32_t position) {
  const auto found = parked_.find({op, position});
  return found == parked_.end() ? std::span<std::byte>{} : found->second.content();
}

void ParkedSegments::arrived(const OpKey& op, std::uint32_t position) {
  const auto found = parked_.find({op, position});
  if (found != parked_.end()) found->second.whole = true;
}

void ParkedSegments::take(const OpKey& op, const Deliver& deliver) {
  for (auto at = parked_.lower_bound({op, 0}); at != parked_.end() && at->first.first == op;) {
    if (!at->second.whole) {
      ++at;
      continue;
    }
    deliver(at->first.second, at->second.content(), at->second.block);
    at = erase(at);
  }
}

void ParkedSegments::drop(const OpKey& op) {
  for (auto at = parked_.lower_bound({op, 0}); at != parked_.end() && at->first.first == op;)
    at = erase(at);
}

void ParkedSegments::drop_before(Epoch epoch) {
  for (auto at = parked_.begin(); at != parked_.end() && at->first.first.epoch < epoch;)
    at = erase(at);
}

ParkedSegments::Parked::iterator ParkedSegments::erase(Parked::iterator segment) {
  bytes_ -= limits::eager_cost(segment->second.length);
  return parked_.erase(segment);
}

}  // namespace pccl::collective
