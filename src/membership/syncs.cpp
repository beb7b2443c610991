// Syncs of the shared state. When all members of a group have offered theirs, one content is
// elected; who has another one fetches it from those who have it, and becomes a holder when it has
// all of it. The sync ends when nobody fetches any more, and fails only when no holder is left.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <limits>

#include "base/limits.hpp"
#include "base/mutant.hpp"
#include "membership/master_machine.hpp"

namespace pccl::membership {

namespace {

std::string text_of(const wire::StateEntry& entry) {
  return fmt::format("\"{}\" ({} x {}{})", entry.name, entry.count, name_of(entry.type),
                     entry.may_differ ? ", content may differ" : "");
}

std::string first_difference(const wire::StateDescribed& its, const wire::StateDescribed& ours) {
  for (std::size_t i = 0; i < std::min(its.entries.size(), ours.entries.size()); ++i)
    if (its.entries[i] != ours.entries[i])
      return fmt::format("entry {} is {}, the group has {}", its.from + i, text_of(its.entries[i]),
                         text_of(ours.entries[i]));
  if (its.total != ours.total)
    return fmt::format("it has {} entries, the group {}", its.total, ours.total);
  return fmt::format("the first difference is after entry {}", its.from + its.entries.size());
}

bool alike_so_far(const wire::StateDescribed& its, const wire::StateDescribed& ours) {
  const std::size_t both = std::min(its.entries.size(), ours.entries.size());
  return both > 0 && its.from + both < std::min(its.total, ours.total) &&
         std::equal(its.entries.begin(), its.entries.begin() + static_cast<std::ptrdiff_t>(both),
                    ours.entries.begin());
}

}  // namespace

void MasterMachine::on_sync_offer(Peer& peer, const wire::SyncOffer& offer) {
  if (!peer.accepted) return remove(peer.id, "protocol error: a sync before admission");
  if (peer.call) return remove(peer.id, "protocol error: two calls at once");
  if (offer.revision.value >= limits::highest_number)
    return remove(peer.id, "protocol error: a revision beyond the highest");
  peer.call = wire::Call{offer.call, wire::CallKind::synchronize};
  peer.offer = offer;
  peer.description.reset();
  GroupState& state = groups_.at(peer.group);
  state.last_offer = now_;
  state.late_for_sync = false;
}

void MasterMachine::start_complete_syncs() {
  std::vector<Group> complete;
  for (const auto& [group, state] : groups_) {
    if (state.sync || state.ring.empty()) continue;
    const auto offers = [this](PeerId id) { return find(id) != nullptr && find(id)->offer; };
    const auto needed = static_cast<std::ptrdiff_t>(state.ring.size()) -
                        (mutant(Mutant::sync_forgets_a_member) && state.ring.size() > 2);
    if (std::count_if(state.ring.begin(), state.ring.end(), offers) >= needed)
      complete.push_back(group);
  }
  for (const Group group : complete) start_sync(group);
}

// Whoever is refused is removed, and the rest vote anew.
void MasterMachine::start_sync(Group group) {
  while (true) {
    GroupState& state = groups_.at(group);
    state.sync.reset();
    if (state.ring.empty()) return;
    std::vector<StateVote> votes;
    bool all_described = true;
    for (const PeerId id : state.ring) {
      const Peer& peer = peers_.at(id);
      if (!peer.offer) continue;  // only with a mutant
      votes.push_back({id, *peer.offer});
      all_described = all_described && peer.description;
    }
    sort_by_seniority(votes);
    StateElection election = elect_state(votes, state.history, settings_.accept_restored_state);
    if (election.keys_differ && !all_described) return ask_for_descriptions(state, 0);
    if (election.keys_differ && difference_lies_further_on(state, election)) {
      std::uint64_t from = 0, alike = std::numeric_limits<std::uint64_t>::max();
      for (const StateVote& vote : votes) {
        const wire::StateDescribed& described = *peers_.at(vote.peer).description;
        from = described.from;
        alike = std::min(alike, from + described.entries.size());
      }
      if (alike > from) return ask_for_descriptions(state, alike);
    }
    if (election.refused.empty()) {
      if (!election.outcome.ok()) return finish_sync(state, election.outcome);
      return begin_transfer(state, election);
    }
    for (auto& [id, why] : election.refused) {
      refuse_entries(state, id, why);
      remove(id, why);
    }
  }
}

// A cohort is as senior as the first of it, and so in the same place in all groups.
void MasterMachine::sort_by_seniority(std::vector<StateVote>& votes) const {
  std::map<std::uint64_t, Connection> first_of_cohort;
  for (const auto& [id, peer] : peers_) {
    Connection& first = first_of_cohort.try_emplace(peer.cohort.id, peer.connection).first->second;
    first = std::min(first, peer.connection);
  }
  const auto came = [&](const StateVote& vote) {
    const Peer& peer = peers_.at(vote.peer);
    return peer.cohort.id == 0 ? peer.connection : first_of_cohort.at(peer.cohort.id);
  };
  std::stable_sort(votes.begin(), votes.end(),
                   [&](const StateVote& a, const StateVote& b) { return came(a) < came(b); });
}

void MasterMachine::ask_for_descriptions(GroupState& state, std::uint64_t from) {
  state.sync = Sync{.describing = now_ + settings_.peer_timeout, .described = from};
  for (const PeerId id : state.ring) {
    Peer& peer = peers_.at(id);
    if (!peer.offer) continue;
    peer.description.reset();
    send(peer, wire::StateWanted{peer.call->call, from});
  }
}

// What everybody has described so far does not tell the refused apart from the others.
bool MasterMachine::difference_lies_further_on(const GroupState& state,
                                               const StateElection& election) const {
  return std::any_of(election.refused.begin(), election.refused.end(), [&](const auto& refused) {
    const Peer& its = peers_.at(refused.first);
    const Peer* const other = described_otherwise(state, its);
    return other != nullptr && alike_so_far(*its.description, *other->description);
  });
}

const MasterMachine::Peer* MasterMachine::described_otherwise(const GroupState& state,
                                                              const Peer& refused) const {
  for (const PeerId id : state.ring) {
    const Peer* const other = find(id);
    if (other != nullptr && other->description && other->offer->keys != refused.offer->keys)
      return other;
  }
  return nullptr;
}

// Adds what differs, where the entries do.
void MasterMachine::refuse_entries(GroupState& state, PeerId refused, std::string& why) const {
  const Peer* const its = find(refused);
  if (its == nullptr || !its->description) return;
  if (const Peer* const other = described_otherwise(state, *its))
    why += ": " + first_difference(*its->description, *other->description);
}

void MasterMachine::on_state_described(Peer& peer, const wire::StateDescribed& described) {
  if (!peer.call || peer.call->call != described.call) return;
  GroupState& state = groups_.at(peer.group);
  if (!state.sync || !state.sync->describing || described.from != state.sync->described) return;
  peer.description = described;
  if (std::all_of(state.ring.begin(), state.ring.end(),
                  [this](PeerId id) { return peers_.at(id).description.has_value(); }))
    start_sync(peer.group);
}

void MasterMachine::close_overdue_descriptions() {
  std::vector<PeerId> late;
  for (const auto& [group, state] : groups_)
    if (state.sync && state.sync->describing && now_ > *state.sync->describing)
      std::copy_if(state.ring.begin(), state.ring.end(), std::back_inserter(late),
                   [this](PeerId id) { return !peers_.at(id).description; });
  for (const PeerId id : late)
    remove(id, "it did not say what its shared state is made of, in time");
}

void MasterMachine::begin_transfer(GroupState& state, const StateElection& election) {
  state.sync = Sync{};
  Sync& sync = *state.sync;
  sync.revision = election.revision;
  sync.content = election.content;
  sync.token = random_token();
  sync.holders = {election.holders.begin(), election.holders.end()};
  sync.fetching = {election.fetchers.begin(), election.fetchers.end()};
  if (election.restored)
    note(fmt::format("accepts the restored revision {} of the shared state, although {} was due",
                     sync.revision.value, state.history.next->value));
  note(fmt::format("elects revision {} of the shared state, content {}: {} peers hold it, {} fetch",
                   sync.revision.value, short_name(sync.content), sync.holders.size(),
                   sync.fetching.size()));
  if (sync.fetching.empty()) return finish_sync(state, {});
  for (const PeerId id : state.ring)
    if (peers_.at(id).offer) send_elected(state, peers_.at(id));
}

// Every fetcher is given as many holders as it can use, each another choice of them.
void MasterMachine::send_elected(const GroupState& state, const Peer& peer) {
  const Sync& sync = *state.sync;
  wire::SyncElected elected{.call = peer.call->call,
                            .revision = sync.revision,
                            .content = sync.content,
                            .token = sync.token,
                            .holders = {}};
  const std::vector<PeerId> holders{sync.holders.begin(), sync.holders.end()};
  const auto rank = static_cast<std::size_t>(
      std::find(state.ring.begin(), state.ring.end(), peer.id) - state.ring.begin());
  for (std::size_t i = 0; i < std::min(holders.size(), limits::state_sources); ++i) {
    const Peer& holder = peers_.at(holders[(rank + i) % holders.size()]);
    elected.holders.push_back({holder.id, holder.state});
  }
  send(peer, std::move(elected));
}

void MasterMachine::on_sync_done(Peer& peer, const wire::SyncDone& done) {
  if (!peer.call || peer.call->call != done.call) return;
  GroupState& state = groups_.at(peer.group);
  if (!state.sync || done.token != state.sync->token) return;
  if (done.status != Status::ok && state.sync->holders.contains(peer.id))
    return remove(peer.id, "it can no longer serve the shared state: " + done.why);
  if (!state.sync->fetching.contains(peer.id)) return;
  if (done.status != Status::ok) {
    const auto [stuck, first] = state.sync->stuck.try_emplace(peer.id);
    if (!first) return;  // its holders are being asked
    stuck->second.why = done.why;
    stuck->second.distrusts = done.status == Status::invalid_usage;
    return ask_holders(state, stuck->second);
  }
  state.sync->fetching.erase(peer.id);
  state.sync->holders.insert(peer.id);
  state.sync->stuck.clear();  // there is a holder whom they have not tried
  if (state.sync->fetching.empty() || mutant(Mutant::sync_done_too_early))
    return finish_sync(state, {});
  for (const PeerId id : state.sync->fetching) send_elected(state, peers_.at(id));
}

// Who cannot fetch from anybody may be the first to see that all holders are dead: they are asked.
void MasterMachine::ask_holders(const GroupState& state, StuckFetcher& stuck) {
  stuck.asked = state.sync->holders;
  stuck.deadline = now_ + settings_.peer_timeout;
  for (const PeerId id : stuck.asked) send(peers_.at(id), heartbeat(state, true));
}

void MasterMachine::hear_of_holder(const Peer& alive) {
  const auto group = groups_.find(alive.group);
  if (group == groups_.end() || !group->second.sync) return;
  for (auto& [id, stuck] : group->second.sync->stuck) stuck.asked.erase(alive.id);
  judge_stuck(group->first);
}

// A holder that neither answers nor falls silent.
void MasterMachine::close_overdue_fetches() {
  std::vector<Group> overdue;
  for (auto& [group, state] : groups_) {
    if (!state.sync) continue;
    for (auto& [id, stuck] : state.sync->stuck)
      if (now_ > stuck.deadline) stuck.asked.clear();
    if (!state.sync->stuck.empty()) overdue.push_back(group);
  }
  for (const Group group : overdue) judge_stuck(group);
}

// Holders live, and somebody cannot fetch from them. It is that one's fault, unless all who fetch
// are stuck, and several of them were sent other bytes than the holders had offered: they do not
// all err, and the holders are removed.
void MasterMachine::judge_stuck(Group group) {
  const GroupState& state = groups_.at(group);
  if (!state.sync) return;
  const Sync& sync = *state.sync;
  const bool all = std::all_of(sync.fetching.begin(), sync.fetching.end(), [&](PeerId id) {
    const auto stuck = sync.stuck.find(id);
    return stuck != sync.stuck.end() && stuck->second.asked.empty();
  });
  const auto distrusting = std::count_if(sync.stuck.begin(), sync.stuck.end(),
                                         [](const auto& entry) { return entry.second.distrusts; });
  std::vector<std::pair<PeerId, std::string>> at_fault;
  if (all && distrusting > 1) {
    for (const PeerId id : sync.holders)
      at_fault.emplace_back(
          id, fmt::format("{} peers were sent other bytes than those of the shared state that it "
                          "had offered",
                          distrusting));
  } else {
    for (const auto& [id, stuck] : sync.stuck)
      if (stuck.asked.empty() && (all || !stuck.distrusts))
        at_fault.emplace_back(id, "it could not fetch the shared state: " + stuck.why);
  }
  for (const auto& [id, why] : at_fault) remove(id, why);
}

// One loss may bring about another: all of them are gone before the first is told of here.
void MasterMachine::sync_goes_on_without_the_lost(GroupState& state) {
  if (!state.sync) return;
  Sync& sync = *state.sync;
  if (sync.describing) return state.sync.reset();  // evaluated anew with those who remain
  const auto lost = [this](PeerId id) { return !peers_.contains(id); };
  std::erase_if(sync.fetching, lost);
  std::erase_if(sync.stuck, [&](const auto& entry) { return lost(entry.first); });
  const bool held = std::erase_if(sync.holders, lost) > 0;
  if (sync.holders.empty())
    return finish_sync(
        state, {Status::invalid_usage, "the last holder of the elected shared state was lost"});
  if (sync.fetching.empty()) return finish_sync(state, {});
  if (!held) return;
  for (auto& [id, stuck] : sync.stuck) ask_holders(state, stuck);
  for (const PeerId id : sync.fetching) send_elected(state, peers_.at(id));
}

void MasterMachine::finish_sync(GroupState& state, const Outcome& outcome) {
  if (outcome.ok()) state.history = {state.sync->revision.next(), state.sync->content};
  state.syncs = state.syncs.next();
  wire::SyncResult result{.round = state.syncs, .status = outcome.status, .why = outcome.why};
  if (state.history.next) {
    result.synchronised = true;
    result.revision = Revision{state.history.next->value - 1};
    result.content = state.history.last_content;
  }
  note(outcome.ok()
           ? fmt::format("revision {} of the shared state is synchronised", result.revision.value)
           : "a sync of the shared state fails: " + outcome.why);
  state.sync.reset();
  for (const PeerId id : state.ring)
    if (Peer& peer = peers_.at(id); peer.offer) answer_sync(peer, result);
}

void MasterMachine::answer_sync(Peer& peer, wire::SyncResult result) {
  result.call = peer.call->call;
  peer.call.reset();
  peer.offer.reset();
  peer.description.reset();
  send(peer, std::move(result));
}

bool MasterMachine::any_sync_running() const {
  return std::any_of(groups_.begin(), groups_.end(),
                     [](const auto& entry) { return entry.second.sync.has_value(); });
}

}  // namespace pccl::membership
