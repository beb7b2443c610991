// How long a round trip takes between peers of one group, as they have measured when they opened a
// link.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/ids.hpp"
#include "base/time.hpp"

namespace pccl::membership {

class RoundTrips {
 public:
  void measured(PeerId from, PeerId to, Duration rtt);

  // The longest between neighbours of a ring. Of neighbours that have never met: no more than by
  // way of the peer whom both have met and who is nearest, if there is one; else nothing.
  Duration longest_in(const std::vector<PeerId>& ring) const;

  void forget(const std::function<bool(PeerId)>& gone);

 private:
  std::optional<Duration> between(PeerId one, PeerId other) const;
  std::optional<Duration> by_way_of_another(PeerId one, PeerId other) const;

  std::map<PeerId, std::map<PeerId, Duration>> known_;  // both ways
};

}  // namespace pccl::membership
