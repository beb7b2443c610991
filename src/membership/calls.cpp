// Unanimous calls: complete when every accepted peer of the run has called the same thing, fail
// when all have called and nothing can match.
#include <fmt/format.h>

#include <algorithm>

#include "base/mutant.hpp"
#include "membership/master_machine.hpp"

namespace pccl::membership {

namespace {

std::string_view name_of(wire::CallKind kind) {
  return kind == wire::CallKind::update_topology ? "pcclUpdateTopology" : "pcclArePeersPending";
}

}  // namespace

void MasterMachine::on_call(Peer& peer, const wire::Call& call) {
  if (!peer.accepted) return remove(peer.id, "protocol error: a call before admission");
  if (peer.call) return remove(peer.id, "protocol error: two calls at once");
  peer.call = call;
}

// Runs after every event: a departure may complete a call as well as the last vote does.
void MasterMachine::evaluate_calls() {
  if (admission_ || resumption_) return;
  const std::vector<PeerId> voters = accepted_peers();
  if (voters.empty()) {
    if (!peers_.empty() && (now_ >= *opens_ || resumed_)) start_admission();
    return;
  }
  std::size_t called = 0, updates = 0;
  for (const PeerId id : voters) {
    const Peer& peer = peers_.at(id);
    if (!peer.call) continue;
    ++called;
    if (peer.call->what == wire::CallKind::update_topology) ++updates;
  }
  const std::size_t needed = mutant(Mutant::vote_forgets_a_member) && voters.size() > 2
                                 ? voters.size() - 1
                                 : voters.size();
  if (called < needed) return;
  if (updates == called) return start_admission();
  if (updates == 0) return answer_all({.peers_pending = pending_peers() > 0, .counts = counts()});
  // An op that all its members have launched will end by itself, and the call after it may match.
  if (any_complete_op_in_flight()) return;
  answer_all({.status = Status::invalid_usage,
              .counts = counts(),
              .why = "every peer waits, and no two calls can match: " + who_waits_in_what()});
}

void MasterMachine::answer_all(wire::CallResult result) {
  if (result.round == CallRound{}) result.round = round_ = round_.next();
  for (auto& [id, peer] : peers_) {
    if (!peer.call) continue;
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

bool MasterMachine::any_complete_op_in_flight() const {
  return std::any_of(groups_.begin(), groups_.end(), [](const auto& entry) {
    const GroupState& group = entry.second;
    return std::any_of(group.ops.begin(), group.ops.end(),
                       [&](const auto& op) { return op.second.begun.size() == group.ring.size(); });
  });
}

}  // namespace pccl::membership
