// Suspects and broken paths. A peer that reports a broken link may be the first to see a death, or
// the only one to see a broken path: the master asks the accused. An answer means that the path is
// at fault, and the ring is formed anew; silence ends in the removal that any silent peer faces.
#include <fmt/format.h>

#include <algorithm>

#include "membership/master_machine.hpp"

namespace pccl::membership {

namespace {

// A link that stood and broke is dialled again; one that keeps breaking is a broken path.
constexpr int breaks_tolerated = 2;
constexpr Duration breaks_remembered = std::chrono::minutes(1);

}  // namespace

void MasterMachine::on_link_failed(Peer& peer, const wire::LinkFailed& failed) {
  const auto found = groups_.find(peer.group);
  if (found == groups_.end()) return;
  GroupState& state = found->second;
  const bool of_linking = state.linking && state.linking->epoch == failed.epoch;
  if (!of_linking && failed.epoch != state.epoch) return;  // of a ring that is history
  const std::vector<PeerId>& ring = of_linking ? state.linking->ring : state.ring;
  const auto at = std::find(ring.begin(), ring.end(), peer.id);
  if (at == ring.end()) return;
  const std::size_t rank = static_cast<std::size_t>(at - ring.begin());
  const PeerId neighbour = ring[(rank + (failed.outgoing ? 1 : ring.size() - 1)) % ring.size()];
  if (neighbour != failed.peer) return;
  Peer* const accused = find(failed.peer);
  if (accused == nullptr) return;
  if (std::any_of(state.suspicions.begin(), state.suspicions.end(), [&](const Suspicion& s) {
        return s.from == peer.id && s.outgoing == failed.outgoing;
      }))
    return;  // being looked into
  note(fmt::format("{} reports that its link {} {} failed: {}", peer.name(),
                   failed.outgoing ? "to" : "from", accused->name(), failed.why));
  state.suspicions.push_back({peer.id, failed.peer, failed.outgoing, failed.fault, failed.why, now_,
                              now_ - accused->heard});
  send(*accused, heartbeat(state, true));
}

// `alive` has answered after it was suspected.
void MasterMachine::resolve_suspicions(const Peer& alive) {
  const auto found = groups_.find(alive.group);
  if (found == groups_.end()) return;
  auto& suspicions = found->second.suspicions;
  const auto suspicion = std::find_if(suspicions.begin(), suspicions.end(),
                                      [&](const Suspicion& s) { return s.to == alive.id; });
  if (suspicion == suspicions.end()) return;
  const Suspicion resolved = *suspicion;
  break_path(alive.group, resolved);
}

void MasterMachine::break_path(Group group, const Suspicion& suspicion) {
  GroupState& state = groups_.at(group);
  const auto path = suspicion.outgoing ? std::pair{suspicion.from, suspicion.to}
                                       : std::pair{suspicion.to, suspicion.from};
  // Who answers late, or was not heard for a while before, did not run or did not hear us: this
  // explains the failure better than the path does.
  const bool stalled =
      now_ - suspicion.since > heartbeat_interval() || suspicion.silent > 2 * heartbeat_interval();
  // Both ends of a link see it break, each in its own time and perhaps in another epoch: one
  // incident.
  Breaks& breaks = state.breaks[path];
  if (now_ - breaks.last > breaks_remembered) breaks.count = 0;
  if (breaks.count == 0 || now_ - breaks.last > heartbeat_interval()) {
    ++breaks.count;
    breaks.last = now_;
  }
  const bool gone =
      (suspicion.fault != wire::LinkFault::broke && !stalled) || breaks.count > breaks_tolerated;
  if (gone) state.broken.insert(path);
  recover(group, fmt::format("the path from {} to {} broke: {}", find(path.first)->name(),
                             find(path.second)->name(), suspicion.why));
}

// Whoever reports neither success nor failure holds everybody up: candidates go first.
void MasterMachine::close_overdue_linking() {
  std::vector<PeerId> late;
  for (const auto& [group, state] : groups_) {
    if (!state.linking || now_ <= state.linking->deadline) continue;
    std::vector<PeerId> candidates, members;
    for (const PeerId id : state.linking->ring) {
      if (state.linking->ready.contains(id)) continue;
      (peers_.at(id).accepted ? members : candidates).push_back(id);
    }
    const std::vector<PeerId>& out = candidates.empty() ? members : candidates;
    late.insert(late.end(), out.begin(), out.end());
  }
  for (const PeerId id : late) remove(id, "it neither opened its links nor said why, in time");
}

// With as many broken paths, whoever cannot be reached goes before whoever cannot reach it: a
// closed door is the commoner fault.
PeerId MasterMachine::most_broken(const GroupState& group, const std::vector<PeerId>& among) const {
  const auto broken_paths = [&](PeerId id) {
    std::pair<int, int> paths;  // all, to it
    for (const auto& [from, to] : group.broken) {
      paths.first += from == id || to == id;
      paths.second += to == id;
    }
    return paths;
  };
  return *std::max_element(among.begin(), among.end(),
                           [&](PeerId a, PeerId b) { return broken_paths(a) < broken_paths(b); });
}

}  // namespace pccl::membership
