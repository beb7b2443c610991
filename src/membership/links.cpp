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
  note(fmt::format("{} reports that its link {} {} failed: {}", peer.name(),
                   failed.outgoing ? "to" : "from", accused->name(), failed.why));
  state.suspicions.push_back({peer.id, failed.peer, failed.outgoing, failed.fault, failed.why});
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
  const bool gone =
      suspicion.fault != wire::LinkFault::broke || ++state.breaks[path] > breaks_tolerated;
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

PeerId MasterMachine::most_broken(const GroupState& group, const std::vector<PeerId>& among) const {
  const auto broken_paths = [&](PeerId id) {
    return std::count_if(group.broken.begin(), group.broken.end(),
                         [id](const auto& path) { return path.first == id || path.second == id; });
  };
  return *std::max_element(among.begin(), among.end(),
                           [&](PeerId a, PeerId b) { return broken_paths(a) < broken_paths(b); });
}

}  // namespace pccl::membership
