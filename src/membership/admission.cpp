// Rounds and epochs: propose a ring, let everybody open the missing links, install. Joining and
// losing a peer share this road.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/mutant.hpp"
#include "membership/master_machine.hpp"

namespace pccl::membership {

// All accepted peers are in pcclUpdateTopology (or there are none): take in whoever waits, and mend
// what is not linked.
void MasterMachine::start_admission() {
  std::set<PeerId> who_waits = candidates();
  std::set<Group> affected;
  for (const PeerId id : who_waits) affected.insert(peers_.at(id).group);
  begin_round(std::move(who_waits), std::move(affected));
}

// Who waits and may come in: without a cohort, or of one that has all its members. Those that are
// in the run already count, so that another one may come for a member that has left.
std::set<PeerId> MasterMachine::candidates() const {
  struct Present {
    std::uint32_t members = 0, wanted = 0;
  };
  std::map<std::uint64_t, Present> cohorts;
  for (const auto& [id, peer] : peers_) {
    if (peer.cohort.id == 0) continue;
    Present& present = cohorts[peer.cohort.id];
    ++present.members;
    present.wanted = std::max(present.wanted, peer.cohort.size);
  }
  std::set<PeerId> who;
  for (const auto& [id, peer] : peers_) {
    if (peer.accepted) continue;
    const auto cohort = cohorts.find(peer.cohort.id);
    if (cohort == cohorts.end() || cohort->second.members >= cohort->second.wanted) who.insert(id);
  }
  return who;
}

// A candidate has been lost: the others of its cohort wait again. The groups that these are of.
std::set<Group> MasterMachine::send_back_incomplete_cohorts() {
  const std::set<PeerId> may_come_in = candidates();
  std::set<Group> affected;
  std::erase_if(*admission_, [&](PeerId id) {
    if (may_come_in.contains(id)) return false;
    affected.insert(peers_.at(id).group);
    return true;
  });
  return affected;
}

// The others of a cohort can do nothing without a member that is lost, and may not even know: they
// wait for it elsewhere, and the run for them. Who leaves on purpose takes nobody along.
void MasterMachine::remove_broken_cohorts() {
  while (!broken_cohorts_.empty()) {
    const auto [cohort, why] = *broken_cohorts_.begin();
    std::vector<PeerId> out;
    for (const auto& [id, peer] : peers_)
      if (peer.accepted && peer.cohort.id == cohort) out.push_back(id);
    for (const PeerId id : out) remove(id, "its cohort is not whole any more: " + why);
    broken_cohorts_.erase(cohort);
  }
}

// A proposal for each group that changes, and all are installed together.
void MasterMachine::begin_round(std::set<PeerId> candidates, std::set<Group> affected) {
  admission_ = std::move(candidates);
  admission_groups_.clear();
  for (const auto& [group, state] : groups_)
    if (state.linking) affected.insert(group);
  assembling_ = true;
  for (const Group group : affected) propose_admission(group);
  assembling_ = false;
  continue_admission();
}

void MasterMachine::propose_admission(Group group) {
  std::optional<std::vector<PeerId>> ring;
  while (!(ring = ring_with_candidates(group))) {
    // No ring avoids the broken paths: candidates drop out, unless these are not in its way.
    std::vector<PeerId> candidates;
    for (const PeerId id : *admission_)
      if (peers_.at(id).group == group) candidates.push_back(id);
    const GroupState& state = groups_[group];
    std::vector<PeerId> all = state.ring;
    all.insert(all.end(), candidates.begin(), candidates.end());
    const PeerId out = first_to_go(state, all);
    const std::string why =
        "no ring can be formed with it: its ring neighbours cannot reach it, or it cannot reach "
        "them";
    if (peers_.at(out).accepted) return remove(out, why);  // proposes anew for those who remain
    admission_->erase(out);
    remove(out, why);
    for (const Group other : send_back_incomplete_cohorts())
      if (other != group) propose_admission(other);
  }
  if (ring->empty()) {
    groups_[group].linking.reset();
    admission_groups_.erase(group);
    return;
  }
  admission_groups_.insert(group);
  propose(group, *ring, wire::EpochReason::admission,
          groups_.at(group).better_ring.empty() ? "peers join" : "a ring of better links");
}

std::optional<std::vector<PeerId>> MasterMachine::ring_with_candidates(Group group) {
  GroupState& state = groups_[group];
  std::vector<PeerId> members = state.ring;
  if (!state.better_ring.empty()) {
    std::erase_if(state.better_ring, [this](PeerId id) { return !peers_.contains(id); });
    members = state.better_ring;
  }
  for (const PeerId id : *admission_)
    if (peers_.at(id).group == group) members.push_back(id);
  return find_ring(state, members);
}

// A member was lost, or a path broke. In an admission round the proposal is made anew; otherwise
// the rest of the ring goes on at once.
void MasterMachine::recover(Group group, const std::string& why) {
  GroupState& state = groups_.at(group);
  std::erase_if(state.ring, [this](PeerId id) { return !peers_.contains(id); });
  if (admission_) {
    state.ops
        .clear();  // void in the epoch to come, and the ring that they counted on is shorter now
    propose_admission(group);
    return continue_admission();
  }
  if (state.ring.empty()) {
    state.linking.reset();
    state.ops.clear();
    state.mismatched.clear();
    return;
  }
  const auto ring = find_ring(state, state.ring);
  if (!ring)
    return remove(first_to_go(state, state.ring),
                  "no ring avoids the broken paths between the members, and without it fewest are "
                  "lost");
  propose(group, *ring, wire::EpochReason::recovery, why);
}

void MasterMachine::propose(Group group, std::vector<PeerId> ring, wire::EpochReason reason,
                            const std::string& why) {
  GroupState& state = groups_[group];
  if (!(mutant(Mutant::epoch_not_bumped) && reason == wire::EpochReason::recovery))
    state.newest = std::max(state.newest, forgotten_).next();
  wire::EpochProposed proposal{.epoch = state.newest,
                               .reason = reason,
                               .token = random_token(),
                               .ring = members_of(ring),
                               .counts = counts(),
                               .why = why,
                               .rtt_us = wire::microseconds(state.round_trips.longest_in(ring))};
  state.replaced = {state.newest_epoch(), state.newest_ring()};
  if (reason == wire::EpochReason::recovery) {
    state.epoch = state.newest;
    state.ring = ring;
    if (!mutant(Mutant::commit_after_loss)) state.ops.clear();
    state.mismatched.clear();
    state.last_verdict = state.watermark_told = {};
    for (const PeerId id : ring) peers_.at(id).verdict_seen = {};
  }
  // Whatever is missing is dialled anyway; but a path that does not answer does not either way.
  std::erase_if(state.suspicions, [](const Suspicion& suspicion) {
    return suspicion.fault != wire::LinkFault::unanswered &&
           suspicion.fault != wire::LinkFault::unreached;
  });
  state.mending.reset();
  state.paths.proposed(ring);
  state.linking = Linking{state.newest, reason, ring, {}, now_ + 3 * settings_.peer_timeout};
  note(fmt::format("proposes epoch {} of group {} with {} peers: {}", state.newest.value,
                   group.value, ring.size(), why));
  for (const PeerId id : ring) send(peers_.at(id), proposal);
}

void MasterMachine::on_links_ready(Peer& peer, const wire::LinksReady& ready) {
  const auto group = groups_.find(peer.group);
  if (group == groups_.end() || !group->second.linking ||
      group->second.linking->epoch != ready.epoch)
    return;
  Linking& linking = *group->second.linking;
  const auto at = std::find(linking.ring.begin(), linking.ring.end(), peer.id);
  if (at == linking.ring.end()) return;
  const std::size_t rank = static_cast<std::size_t>(at - linking.ring.begin());
  const std::size_t world = linking.ring.size();
  if (world > 1) {
    group->second.round_trips.measured(peer.id, linking.ring[(rank + 1) % world],
                                       std::chrono::microseconds(ready.rtt_us));
    group->second.paths.stands({peer.id, linking.ring[(rank + 1) % world]}, now_);
    group->second.paths.stands({linking.ring[(rank + world - 1) % world], peer.id}, now_);
  }
  linking.ready.insert(peer.id);
  if (linking.ready.size() == linking.ring.size() || mutant(Mutant::install_before_ready))
    finish_linking(peer.group);
}

void MasterMachine::finish_linking(Group group) {
  GroupState& state = groups_.at(group);
  if (state.linking->reason == wire::EpochReason::admission) return continue_admission();
  const wire::EpochInstalled installed{state.epoch, counts(), {}, run_};
  state.linking.reset();
  for (const PeerId id : state.ring) send(peers_.at(id), installed);
}

// The round ends when every proposal of it is linked.
void MasterMachine::continue_admission() {
  if (!admission_ || assembling_) return;
  for (const Group group : admission_groups_) {
    const auto& linking = groups_.at(group).linking;
    if (linking && linking->ready.size() < linking->ring.size() &&
        !mutant(Mutant::install_before_ready))
      return;
  }
  finish_admission();
}

void MasterMachine::finish_admission() {
  if (run_ == Term{}) run_ = settings_.term;
  for (const PeerId id : *admission_) peers_.at(id).accepted = true;
  to_remember_ = true;
  admission_.reset();
  round_ = round_.next();
  const wire::RunCounts after = counts();
  for (const Group group : admission_groups_) {
    GroupState& state = groups_.at(group);
    if (!state.linking) continue;
    state.epoch = state.linking->epoch;
    state.ring = state.linking->ring;
    state.linking.reset();
    state.ops.clear();
    state.mismatched.clear();
    state.last_verdict = state.watermark_told = {};
    note(fmt::format("installs epoch {} of group {} with {} peers", state.epoch.value, group.value,
                     state.ring.size()));
    const std::uint32_t rtt_us = wire::microseconds(state.round_trips.longest_in(state.ring));
    for (const PeerId id : state.ring) {
      Peer& peer = peers_.at(id);
      if (peer.epoch_seen == Epoch{}) peer.epoch_seen = state.epoch;  // older ones are not its
      peer.verdict_seen = {};
      send(peer, wire::EpochInstalled{state.epoch, after, round_, run_, state.syncs, rtt_us});
    }
  }
  for (const Group group : admission_groups_)  // until now they told of the way around the lost
    groups_.at(group).round_trips.forget([this](PeerId id) { return !peers_.contains(id); });
  admission_groups_.clear();
  for (auto& [group, state] : groups_)
    if (const auto formed = std::exchange(state.better_ring, {}); formed == state.ring)
      state.best_in = state.epoch;
  answer_all({.round = round_, .counts = after});
}

void MasterMachine::forget_empty_groups() {
  if (admission_ || !std::exchange(someone_left_, false)) return;
  std::erase_if(groups_, [this](const auto& entry) {
    if (!entry.second.ring.empty()) return false;
    forgotten_ = std::max(forgotten_, entry.second.newest);
    return true;
  });
}

std::vector<wire::Member> MasterMachine::members_of(const std::vector<PeerId>& ring) const {
  std::vector<wire::Member> members;
  for (const PeerId id : ring) members.push_back({id, peers_.at(id).p2p});
  return members;
}

}  // namespace pccl::membership
