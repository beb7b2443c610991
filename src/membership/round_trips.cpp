#include "membership/round_trips.hpp"

#include <algorithm>

namespace pccl::membership {

void RoundTrips::measured(PeerId from, PeerId to, Duration rtt) {
  known_[from][to] = rtt;
  known_[to][from] = rtt;
}

std::optional<Duration> RoundTrips::between(PeerId one, PeerId other) const {
  const auto from = known_.find(one);
  if (from == known_.end()) return std::nullopt;
  const auto to = from->second.find(other);
  return to == from->second.end() ? std::nullopt : std::optional(to->second);
}

std::optional<Duration> RoundTrips::by_way_of_another(PeerId one, PeerId other) const {
  const auto met = known_.find(one);
  if (met == known_.end()) return std::nullopt;
  std::optional<Duration> shortest;
  for (const auto& [via, first] : met->second)
    if (const auto second = between(via, other))
      shortest = std::min(shortest.value_or(Duration::max()), first + *second);
  return shortest;
}

Duration RoundTrips::longest_in(const std::vector<PeerId>& ring) const {
  Duration longest{0};
  for (std::size_t rank = 0; rank < ring.size() && ring.size() > 1; ++rank) {
    const PeerId one = ring[rank], other = ring[(rank + 1) % ring.size()];
    std::optional<Duration> rtt = between(one, other);
    if (!rtt) rtt = by_way_of_another(one, other);
    longest = std::max(longest, rtt.value_or(Duration{0}));
  }
  return longest;
}

void RoundTrips::forget(const std::function<bool(PeerId)>& gone) {
  for (auto& [id, others] : known_)
    std::erase_if(others, [&](const auto& other) { return gone(other.first); });
  std::erase_if(known_, [&](const auto& entry) { return gone(entry.first); });
}

}  // namespace pccl::membership
