// Suspects and broken paths. A peer that reports a broken link may be the first to see a death, or
// the only one to see a broken path: the master asks the accused. An answer means that the path is
// at fault, and the ring is formed anew; silence ends in the removal that any silent peer faces.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <tuple>
#include <utility>

#include "membership/master_machine.hpp"

namespace pccl::membership {

namespace {

// A link that stood and broke is dialled again; one that keeps breaking is a broken path.
constexpr int breaks_tolerated = 2;
constexpr Duration breaks_remembered = std::chrono::minutes(1);

bool is_silence(wire::LinkFault fault) {
  return fault == wire::LinkFault::unanswered || fault == wire::LinkFault::unreached;
}

}  // namespace

void MasterMachine::on_link_failed(Peer& peer, const wire::LinkFailed& failed) {
  const auto found = groups_.find(peer.group);
  if (found == groups_.end()) return;
  GroupState& state = found->second;
  // Of a ring that is history: whoever is proposed dials what is missing anyway. But a path that
  // does not answer is worth knowing before the next ring counts on it.
  const bool crossed = failed.epoch == state.replaced.epoch && is_silence(failed.fault);
  if (failed.epoch != state.newest_epoch() && !crossed) return;
  const std::vector<PeerId>& ring =
      failed.epoch == state.newest_epoch() ? state.newest_ring() : state.replaced.ring;
  const auto at = std::find(ring.begin(), ring.end(), peer.id);
  if (at == ring.end()) return;
  const std::size_t rank = static_cast<std::size_t>(at - ring.begin());
  const PeerId neighbour = ring[(rank + (failed.outgoing ? 1 : ring.size() - 1)) % ring.size()];
  if (neighbour != failed.peer) return;
  Peer* const accused = find(failed.peer);
  if (accused == nullptr) return;
  const Suspicion suspicion{peer.id,      failed.peer,          failed.outgoing,
                            failed.fault, failed.epoch,         failed.why,
                            now_,         now_ - accused->heard};
  if (crossed && state.paths.broken(suspicion.path())) return;  // the other end was faster
  const auto same = std::find_if(
      state.suspicions.begin(), state.suspicions.end(),
      [&](const Suspicion& s) { return s.from == peer.id && s.path() == suspicion.path(); });
  if (same != state.suspicions.end()) {
    if (same->epoch >= suspicion.epoch) return;  // being looked into
    state.suspicions.erase(same);
  }
  note(fmt::format("{} reports that its link {} {} failed: {}", peer.name(),
                   failed.outgoing ? "to" : "from", accused->name(), failed.why));
  state.suspicions.push_back(suspicion);
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
  suspicions.erase(suspicion);
  break_path(alive.group, resolved);
}

void MasterMachine::break_path(Group group, const Suspicion& suspicion) {
  GroupState& state = groups_.at(group);
  const PathBook::Path path = suspicion.path();
  // Who answers late, or was not heard for a while before, did not run or did not hear us: this
  // explains the failure better than the path does. What a master finds waiting after a pause of
  // its own says nothing about when it happened.
  const bool stalled = now_ - suspicion.since > heartbeat_interval() ||
                       suspicion.silent > 2 * heartbeat_interval() ||
                       (woke_ && suspicion.since - *woke_ < 2 * heartbeat_interval());
  // Both ends of a link see it break, each in its own time and perhaps in another epoch, and the
  // answers to our questions may come long after: reports of the same moment are one incident.
  Breaks& breaks = state.breaks[path];
  if (suspicion.since - breaks.last > breaks_remembered) breaks.count = 0;
  if (breaks.count == 0 || suspicion.since - breaks.last > heartbeat_interval()) {
    ++breaks.count;
    breaks.last = suspicion.since;
  }
  const bool gone =
      (suspicion.fault != wire::LinkFault::broke && !stalled) || breaks.count > breaks_tolerated;
  if (gone && suspicion.fault == wire::LinkFault::unanswered)
    state.paths.unanswered(path, now_, first_cool_down());
  else if (gone && suspicion.fault == wire::LinkFault::unreached)
    state.paths.unreached(path, now_, first_cool_down());
  else if (gone)
    state.paths.unopened(path, now_, first_cool_down());
  const std::vector<PeerId>& ring = state.newest_ring();
  const auto from = std::find(ring.begin(), ring.end(), path.first);
  const bool in_use =
      from != ring.end() && (from + 1 == ring.end() ? ring.front() : *(from + 1)) == path.second;
  // The ring goes around it already; or it was replaced since, and dials this link anew.
  if (!in_use || (!gone && suspicion.epoch != state.newest_epoch())) return;
  const std::string why = fmt::format("the path from {} to {} broke: {}", find(path.first)->name(),
                                      find(path.second)->name(), suspicion.why);
  const Duration wait = gone ? wait_for_others(state, suspicion) : Duration{0};
  if (wait == Duration{0} && !state.mending) return recover(group, why);
  if (!state.mending) state.mending = {now_, now_, why};
  state.mending->due = std::max(state.mending->due, state.mending->begun + wait);
}

// Silence takes a timeout to be noticed, and others are about to report theirs. Where several paths
// are cut, a new ring that waits for them avoids all of these, and who is removed for want of a
// ring is chosen with all that can be known.
Duration MasterMachine::wait_for_others(const GroupState& state, const Suspicion& suspicion) const {
  const std::vector<PeerId>& ring = state.newest_ring();
  if (!is_silence(suspicion.fault) || ring.size() <= 2) return Duration{0};
  if (!plan::ring_order(ring, state.paths.still_cooling(now_))) return settings_.peer_timeout / 2;
  return state.linking && ring.size() > 3 ? heartbeat_interval() / 2 : Duration{0};
}

void MasterMachine::mend_rings() {
  std::vector<Group> due;
  for (const auto& [group, state] : groups_)
    if (state.mending && now_ >= state.mending->due) due.push_back(group);
  for (const Group group : due)
    if (const auto mending = std::exchange(groups_.at(group).mending, std::nullopt))
      recover(group, mending->why);
}

// The more careful, the better; but rather a path that may be broken than a member lost: first one
// that is merely suspected, then one that broke long ago.
std::optional<std::vector<PeerId>> MasterMachine::find_ring(GroupState& state,
                                                            const std::vector<PeerId>& members) {
  std::optional<std::size_t> in_vain;  // avoided so many
  for (const plan::BrokenPaths& avoided :
       {state.paths.broken_or_suspected(), state.paths.broken(), state.paths.still_cooling(now_)}) {
    if (avoided.size() == in_vain) continue;  // each is part of the one before
    auto ring = plan::ring_order(members, avoided);
    in_vain = avoided.size();
    if (!ring) continue;
    for (const auto& [from, to] : state.paths.broken_in(*ring))
      note(fmt::format("gives the path from {} to {} another chance: no ring does without",
                       peers_.at(from).name(), peers_.at(to).name()));
    return ring;
  }
  return std::nullopt;
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
  for (const PeerId id : late)
    if (const Peer* peer = find(id))
      remove(id, fmt::format("it neither opened its links nor said why, in time, {}",
                             last_seen(*peer)));
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
  std::erase_if(state.breaks,
                [&](const auto& entry) { return over(entry.first.first, entry.first.second); });
  state.paths.forget([this](PeerId id) { return !peers_.contains(id); });
  std::erase_if(state.measured,
                [&](const auto& entry) { return over(entry.first.first, entry.first.second); });
}

// As few as possible go. Where several would do: candidates before members; then whoever has more
// broken paths; then who cannot be reached before who cannot reach it (a closed door is the
// commoner fault); then the youngest, who has least to lose.
PeerId MasterMachine::first_to_go(const GroupState& state, std::vector<PeerId> members) const {
  const plan::BrokenPaths broken = state.paths.still_cooling(now_);
  struct Reasons {
    std::set<PeerId> no_path;  // with these, one way or the other
    int unreached_by = 0;
  };
  std::map<PeerId, Reasons> reasons;
  for (const auto& [from, to] : broken) {
    reasons[from].no_path.insert(to);
    reasons[to].no_path.insert(from);
    if (state.paths.door_closed({from, to})) ++reasons[to].unreached_by;
  }
  const auto weight = [&](PeerId id) {
    const Peer& peer = peers_.at(id);
    return std::tuple(!peer.accepted, reasons[id].no_path.size(), reasons[id].unreached_by,
                      peer.connection);
  };
  std::vector<PeerId> may_go = members;
  std::sort(may_go.begin(), may_go.end(),
            [&](PeerId a, PeerId b) { return weight(a) > weight(b); });
  const auto first_member =
      std::find_if(may_go.begin(), may_go.end(), [&](PeerId id) { return peers_.at(id).accepted; });
  // A candidate costs no member his place.
  auto out = plan::leave_out(members, broken, {may_go.begin(), first_member});
  std::erase_if(members,
                [&](PeerId id) { return std::find(out.begin(), out.end(), id) != out.end(); });
  if (!plan::ring_order(members, broken)) {
    members = may_go;
    out = plan::leave_out(members, broken, may_go);
  }
  return out.empty() ? may_go.front() : out.front();
}

}  // namespace pccl::membership
