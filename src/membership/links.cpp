// Suspects and broken paths. A peer that reports a broken link may be the first to see a death, or
// the only one to see a broken path: the master asks the accused. An answer means that the path is
// at fault, and the ring is formed anew; silence ends in the removal that any silent peer faces.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

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
  // Of a ring that is history, or that another proposal is about to replace: whoever is proposed
  // dials what is missing anyway.
  if (failed.epoch != (state.linking ? state.linking->epoch : state.epoch)) return;
  const std::vector<PeerId>& ring = state.linking ? state.linking->ring : state.ring;
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
  // explains the failure better than the path does. What a master finds waiting after a pause of
  // its own says nothing about when it happened.
  const bool stalled = now_ - suspicion.since > heartbeat_interval() ||
                       suspicion.silent > 2 * heartbeat_interval() ||
                       (woke_ && suspicion.since - *woke_ < 2 * heartbeat_interval());
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

// Whoever reports neither success nor failure holds everybody up. A peer whose previous rank is not
// ready either may be waiting for that one; of those without an excuse candidates go first.
void MasterMachine::close_overdue_linking() {
  std::vector<PeerId> late;
  for (const auto& [group, state] : groups_) {
    if (!state.linking || now_ <= state.linking->deadline) continue;
    const Linking& linking = *state.linking;
    std::vector<PeerId> unready, at_fault, candidates;
    for (std::size_t rank = 0; rank < linking.ring.size(); ++rank) {
      if (linking.ready.contains(linking.ring[rank])) continue;
      unready.push_back(linking.ring[rank]);
      const std::size_t previous = (rank + linking.ring.size() - 1) % linking.ring.size();
      if (linking.ready.contains(linking.ring[previous])) at_fault.push_back(linking.ring[rank]);
    }
    if (at_fault.empty()) at_fault = unready;
    std::copy_if(at_fault.begin(), at_fault.end(), std::back_inserter(candidates),
                 [this](PeerId id) { return !peers_.at(id).accepted; });
    const std::vector<PeerId>& out = candidates.empty() ? at_fault : candidates;
    late.insert(late.end(), out.begin(), out.end());
  }
  for (const PeerId id : late) remove(id, "it neither opened its links nor said why, in time");
}

// What is known of paths is forgotten with the peers at their ends.
void MasterMachine::forget_paths(Group group) {
  const auto found = groups_.find(group);
  if (found == groups_.end()) return;
  GroupState& state = found->second;
  const auto over = [this](PeerId from, PeerId to) {
    return !peers_.contains(from) || !peers_.contains(to);
  };
  std::erase_if(state.suspicions, [&](const Suspicion& s) { return over(s.from, s.to); });
  std::erase_if(state.broken, [&](const auto& path) { return over(path.first, path.second); });
  std::erase_if(state.breaks,
                [&](const auto& entry) { return over(entry.first.first, entry.first.second); });
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
