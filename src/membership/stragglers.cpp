// What a peer was last seen doing, and who is late. A peer that is alive but makes no progress is a
// *straggler* once an op or a sync of its group has waited for it for the straggler timeout (off by
// default: an application may compute as long as it likes). Progress is the begin or the end of any
// op of the peer, or a heartbeat that tells of more data moved.
#include <fmt/format.h>

#include <algorithm>

#include "membership/master_machine.hpp"

namespace pccl::membership {

namespace {

std::string percent(const wire::Progress& progress) {
  return fmt::format("{}% done", std::min<int>(progress.per_mille, 1000) / 10);
}

std::string tag_of(const OpKey& key) {
  return fmt::format("all-reduce tag {}", key.tag.value);
}

}  // namespace

void MasterMachine::hear_progress(Peer& peer, const wire::Progress& progress) {
  if (progress == peer.progress) return;
  peer.progress = progress;
  peer.progressed = now_;
}

// ", begun by 3 of 4" and what the peer has told of its own part.
std::string MasterMachine::progress_of(const Peer& peer, const OpKey& key,
                                       const GroupState& state) const {
  const Op& op = state.ops.at(key);
  std::string text;
  if (peer.progress.op == key) text += ", " + percent(peer.progress);
  if (op.begun.size() == state.ring.size())
    text += ", begun by all";
  else
    text += fmt::format(", begun by {} of {}", op.begun.size(), state.ring.size());
  if (!op.done.empty()) text += fmt::format(", {} of {} done", op.done.size(), state.ring.size());
  return text;
}

// For the reason of a removal.
std::string MasterMachine::last_seen(const Peer& peer) const {
  const auto found = groups_.find(peer.group);
  if (!peer.accepted || found == groups_.end()) return "last seen while it was joining";
  const GroupState& state = found->second;
  const auto all_ops = [&](auto wanted) {
    const auto op = std::find_if(state.ops.begin(), state.ops.end(), wanted);
    return op == state.ops.end() ? nullptr : &op->first;
  };
  const auto is_in = [&](const auto& op) {
    return op.second.begun.contains(peer.id) && !op.second.done.contains(peer.id);
  };
  const auto told = state.ops.find(peer.progress.op);
  const OpKey* const in = told != state.ops.end() && is_in(*told) ? &told->first : all_ops(is_in);
  if (in != nullptr)
    return fmt::format("last seen in {}{}", tag_of(*in), progress_of(peer, *in, state));
  if (peer.call) return fmt::format("last seen in {}", call_of(peer));
  if (const OpKey* const done = all_ops([&](const auto& op) {
        return is_member(state, peer.id) && op.second.done.contains(peer.id);
      }))
    return fmt::format("last seen waiting for the others in {}{}", tag_of(*done),
                       progress_of(peer, *done, state));
  if (const OpKey* const others = all_ops([](const auto&) { return true; }))
    return fmt::format("last seen between calls, while {} of {} are in {}",
                       state.ops.at(*others).begun.size(), state.ring.size(), tag_of(*others));
  const auto in_sync = std::count_if(state.ring.begin(), state.ring.end(), [this](PeerId id) {
    return find(id) != nullptr && find(id)->offer;
  });
  if (in_sync > 0)
    return fmt::format("last seen between calls, while {} of {} are in pcclSynchronizeSharedState",
                       in_sync, state.ring.size());
  return "last seen between calls";
}

// At each tick of a master that was awake.
void MasterMachine::judge_stragglers() {
  if (settings_.straggler_timeout == Duration{0}) return;
  std::vector<std::pair<PeerId, std::string>> out;
  for (auto& [group, state] : groups_) {
    for (auto& [key, op] : state.ops) {
      if (state.linking) op.last_begun = now_;  // nobody can move data yet
      if (!op.late) op.late = judge_late(state, key, op, out);
    }
    if (!state.sync && !state.late_for_sync) state.late_for_sync = judge_late_for_sync(state, out);
  }
  for (const auto& [id, why] : out) remove(id, why);
}

// Notes who holds the op up; true when somebody does. An op that some have not begun waits for
// these, else for those that have not got their result. In a ring everybody stands still behind the
// slowest: only who has moved less than all others is to blame.
bool MasterMachine::judge_late(const GroupState& state, const OpKey& key, const Op& op,
                               std::vector<std::pair<PeerId, std::string>>& out) {
  const bool begun_by_all = op.begun.size() == state.ring.size();
  std::vector<const Peer*> late;
  for (const PeerId id : state.ring) {
    const Peer& peer = peers_.at(id);
    if (begun_by_all ? op.done.contains(id) : op.begun.contains(id)) continue;
    if (idle(peer, op.last_begun) > settings_.straggler_timeout) late.push_back(&peer);
  }
  if (late.empty()) return false;
  std::sort(late.begin(), late.end(), [](const Peer* a, const Peer* b) {
    return a->progress.per_mille < b->progress.per_mille;
  });
  note_late(late, op.last_begun);
  if (begun_by_all && late.size() > 1) {
    const bool told = std::all_of(late.begin(), late.end(),
                                  [&](const Peer* peer) { return peer->progress.op == key; });
    const bool first = told && late[0]->progress.per_mille < late[1]->progress.per_mille;
    late.erase(late.begin() + (first ? 1 : 0), late.end());
  }
  remove_late(state, late, op.last_begun, out);
  return true;
}

// Who has an op under way is judged there.
bool MasterMachine::judge_late_for_sync(const GroupState& state,
                                        std::vector<std::pair<PeerId, std::string>>& out) {
  std::vector<const Peer*> late;
  bool wanted = false;
  for (const PeerId id : state.ring) {
    const Peer& peer = peers_.at(id);
    wanted = wanted || peer.offer;
    const bool in_an_op = std::any_of(state.ops.begin(), state.ops.end(),
                                      [&](const auto& op) { return op.second.begun.contains(id); });
    if (!peer.call && !in_an_op && idle(peer, state.last_offer) > settings_.straggler_timeout)
      late.push_back(&peer);
  }
  if (!wanted || late.empty()) return false;
  note_late(late, state.last_offer);
  remove_late(state, late, state.last_offer, out);
  return true;
}

Duration MasterMachine::idle(const Peer& peer, Instant since) const {
  return now_ - std::max(since, peer.progressed);
}

void MasterMachine::note_late(const std::vector<const Peer*>& late, Instant since) {
  for (const Peer* const peer : late)
    note(fmt::format("{} is late: no progress for {:.1f} s, {}", peer->name(),
                     seconds(idle(*peer, since)), last_seen(*peer)));
}

// If that is wanted. Whom most of the group waits for is late; what most of the group never calls
// is a mistake of those who do.
void MasterMachine::remove_late(const GroupState& state, const std::vector<const Peer*>& late,
                                Instant since,
                                std::vector<std::pair<PeerId, std::string>>& out) const {
  if (!settings_.remove_stragglers || 2 * late.size() > state.ring.size()) return;
  for (const Peer* const peer : late)
    out.emplace_back(
        peer->id,
        fmt::format("it made no progress for {:.1f} s (the straggler timeout is {:.1f} s), {}",
                    seconds(idle(*peer, since)), seconds(settings_.straggler_timeout),
                    last_seen(*peer)));
}

// "; peer 3f2a91bc (10.1.2.3:48150) began at 0.4 ms"
void MasterMachine::record(Op& op, const Peer& peer, std::string_view what) const {
  if (!settings_.op_records) return;
  op.record +=
      fmt::format("; {} {} at {:.1f} ms", peer.name(), what, 1e3 * seconds(now_ - op.first_begun));
}

}  // namespace pccl::membership
