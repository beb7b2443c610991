#include "collective/parked_segments.hpp"

#include "base/limits.hpp"

namespace pccl::collective {

bool ParkedSegments::expect(const OpKey& op, std::uint32_t position, std::uint32_t length) {
  const std::size_t cost = limits::eager_cost(length);
  if (bytes_ + cost > budget_) drop_before(op.epoch);
  if (contains(op, position) || bytes_ + cost > budget_) return false;
  parked_[{op, position}].bytes.resize(length);
  bytes_ += cost;
  return true;
}

std::span<std::byte> ParkedSegments::destination(const OpKey& op, std::uint32_t position) {
  const auto found = parked_.find({op, position});
  return found == parked_.end() ? std::span<std::byte>{} : std::span(found->second.bytes);
}

void ParkedSegments::arrived(const OpKey& op, std::uint32_t position) {
  const auto found = parked_.find({op, position});
  if (found != parked_.end()) found->second.whole = true;
}

void ParkedSegments::take(
    const OpKey& op,
    const std::function<void(std::uint32_t, std::span<const std::byte>)>& deliver) {
  for (auto at = parked_.lower_bound({op, 0}); at != parked_.end() && at->first.first == op;) {
    if (!at->second.whole) {
      ++at;
      continue;
    }
    deliver(at->first.second, at->second.bytes);
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
  bytes_ -= limits::eager_cost(segment->second.bytes.size());
  return parked_.erase(segment);
}

}  // namespace pccl::collective
