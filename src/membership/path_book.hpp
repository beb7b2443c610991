// What the master knows of the paths between the peers of one group: which are broken, which are
// only suspected, and when a broken one gets another chance. Nobody measures a path that no ring
// uses, so nothing here heals by itself: a path is believed broken until a ring needs it.
//
// - No answer, to pings or to dialling: TCP needs both directions, so both are broken.
// - A link that is refused, or that keeps breaking: this direction is broken, the other one only
//   *suspected* (a door may well be closed on one side), until a link there has stood since.
// - A broken path has a *cool-down*, after which it may be tried again where no ring does without
//   it. Each try that fails doubles it.
#pragma once

#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "base/time.hpp"
#include "plan/ring_order.hpp"

namespace pccl::membership {

class PathBook {
 public:
  using Path = std::pair<PeerId, PeerId>;  // from, to

  // `cool_down` is the first one of a path.
  void unanswered(const Path& path, Instant now, Duration cool_down);
  void unreached(const Path& path, Instant now, Duration cool_down);
  void unopened(const Path& path, Instant now, Duration cool_down);
  void stands(const Path& path, Instant now);

  // A broken path is looked at again without a ring that uses it.
  void looked_at(const Path& path);
  // A ring is proposed: broken paths in it are being tried.
  void proposed(const std::vector<PeerId>& ring);
  // Those of a ring that are believed broken.
  std::vector<Path> broken_in(const std::vector<PeerId>& ring) const;

  bool broken(const Path& path) const;
  bool door_closed(const Path& path) const;  // broken, and known by dialling at its start
  // From the most careful to the boldest.
  plan::BrokenPaths broken_or_suspected() const;
  plan::BrokenPaths broken() const;
  plan::BrokenPaths still_cooling(Instant now) const;

  void forget(const std::function<bool(PeerId)>& gone);

 private:
  struct Entry {
    bool broken = false;     // else: it was, and has stood since
    bool both_ways = false;  // found broken together with the other direction
    bool door_closed = false;
    bool being_tried = false;
    bool other_way_stood = false;  // since it broke
    Instant since{};               // it broke, or stood again
    Duration cool_down{0};
  };
  Entry& breaks(const Path& path, Instant now, Duration cool_down, bool both_ways);
  void heals(const Path& path, Instant now);

  std::map<Path, Entry> entries_;
};

}  // namespace pccl::membership
