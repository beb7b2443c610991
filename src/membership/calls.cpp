// Unanimous calls: complete when every accepted peer of the run has called the same thing, fail
// when all have called and nothing can match.
#include <fmt/format.h>

#include <algorithm>

#include "base/mutant.hpp"
#include "membership/master_machine.hpp"

namespace pccl::membership {

namespace {

std::string_view name_of(wire::CallKind kind) {
  switch (kind) {
    case wire::CallKind::update_topology:
      return "pcclUpdateTopology";
    case wire::CallKind::peers_pending:
      return "pcclArePeersPending";
    case wire::CallKind::synchronize:
      return "pcclSynchronizeSharedState";
    case wire::CallKind::optimize_topology:
      return "pcclOptimizeTopology";
  }
  return "an unknown call";
}

}  // namespace

void MasterMachine::on_call(Peer& peer, const wire::Call& call) {
  if (!peer.accepted) return remove(peer.id, "protocol error: a call before admission");
  if (peer.call) return remove(peer.id, "protocol error: two calls at once");
  if (call.what == wire::CallKind::synchronize)
    return remove(peer.id, "protocol error: a call to synchronise is made by an offer");
  peer.call = call;
}

// Runs after every event: a departure may complete a call as well as the last vote does.
void MasterMachine::evaluate_calls() {
  if (admission_ || resumption_ || optimization_) return;
  start_complete_syncs();
  const std::vector<PeerId> voters = accepted_peers();
  if (voters.empty()) {
    if ((now_ >= *opens_ || resumed_) && !candidates().empty()) start_admission();
    return;
  }
  std::size_t called = 0, updates = 0, queries = 0, optimizations = 0;
  for (const PeerId id : voters) {
    const Peer& peer = peers_.at(id);
    if (!peer.call) continue;
    ++called;
    updates += peer.call->what == wire::CallKind::update_topology;
    queries += peer.call->what == wire::CallKind::peers_pending;
    optimizations += peer.call->what == wire::CallKind::optimize_topology;
  }
  const std::size_t needed = mutant(Mutant::vote_forgets_a_member) && voters.size() > 2
                                 ? voters.size() - 1
                                 : voters.size();
  if (called < needed) return;
  if (updates == called) return start_admission();
  if (optimizations == called) return start_optimization();
  if (queries == called)
    return answer_all({.peers_pending = !candidates().empty(), .counts = counts()});
  // An op that all its members have launched, and a sync, end by themselves, and the calls after
  // them may match.
  if (any_complete_op_in_flight() || any_sync_running()) return;
  answer_all({.status = Status::invalid_usage,
              .counts = counts(),
              .why = "every peer waits, and no two calls can match: " + who_waits_in_what()});
}

void MasterMachine::answer_all(wire::CallResult result) {
  if (result.round == CallRound{}) result.round = round_ = round_.next();
  for (auto& [id, peer] : peers_) {
    if (!peer.call) continue;
    if (peer.offer) {
      answer_sync(peer, {.status = result.status, .why = result.why});
      continue;
    }
    result.call = peer.call->call;
    peer.call.reset();
    send(peer, result);
  }
}

std::string MasterMachine::who_waits_in_what() const {
  std::string text;
  for (const auto& [id, peer] : peers_)
    if (peer.call)
      text += fmt::format("{}{} in {}", text.empty() ? "" : ", ", peer.name(),
                          name_of(peer.call->what));
  return text;
}

std::string_view MasterMachine::call_of(const Peer& peer) {
  return name_of(peer.call->what);
}

bool MasterMachine::any_complete_op_in_flight() const {
  return std::any_of(groups_.begin(), groups_.end(), [](const auto& entry) {
    const GroupState& group = entry.second;
    return std::any_of(group.ops.begin(), group.ops.end(),
                       [&](const auto& op) { return op.second.begun.size() == group.ring.size(); });
  });
}

}  // namespace pccl::membership
