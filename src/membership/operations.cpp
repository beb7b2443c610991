// Ops and verdicts. An op commits when every member holds the whole result; it never does once the
// epoch has changed. A star all-reduce commits when every member's input has come: the verdict
// carries the result.
#include <fmt/format.h>

#include <algorithm>

#include "base/limits.hpp"
#include "base/mutant.hpp"
#include "kernels/reduce.hpp"
#include "membership/master_machine.hpp"

namespace pccl::membership {

namespace {

constexpr std::size_t remembered_mismatches = 4096;

}  // namespace

bool MasterMachine::is_member(const GroupState& group, PeerId peer) {
  return std::find(group.ring.begin(), group.ring.end(), peer) != group.ring.end();
}

void MasterMachine::on_op_begin(Peer& peer, const wire::OpBegin& begin) {
  if (!peer.accepted) return remove(peer.id, "protocol error: an op before admission");
  GroupState& state = groups_.at(peer.group);
  if (begin.op.epoch < state.epoch) return;  // void already; the news is on its way
  if (begin.op.epoch > state.epoch)
    return remove(peer.id, "protocol error: an op of an epoch that does not exist");
  const bool star = begin.descriptor.algorithm == wire::Algorithm::star;
  if (star && begin.descriptor.count > limits::star_bytes)
    return remove(peer.id, fmt::format("protocol error: {} does not go through the master",
                                       wire::describe(begin.descriptor)));
  const std::uint64_t input_bytes =
      star ? begin.descriptor.count * size_of(begin.descriptor.type) : 0;
  if (begin.input.size() != input_bytes || input_bytes > limits::star_bytes)
    return remove(peer.id, fmt::format("protocol error: {} bytes of input for {}",
                                       begin.input.size(), wire::describe(begin.descriptor)));
  if (std::find(state.mismatched.begin(), state.mismatched.end(), begin.op) !=
      state.mismatched.end())
    return;
  const bool first = !state.ops.contains(begin.op);
  if (first && state.ops.size() >= limits::ops_in_flight * state.ring.size())
    return remove(peer.id, "protocol error: more ops in flight than the limit");
  Op& op = state.ops[begin.op];
  if (first) {
    op.descriptor = begin.descriptor;
    op.first_to_begin = peer.name();
    op.first_begun = now_;
  }
  if (op.begun.contains(peer.id))
    return remove(peer.id, fmt::format("protocol error: {} begun twice", to_string(begin.op)));
  op.begun[peer.id] = begin.input;
  op.last_begun = peer.progressed = now_;
  op.late = false;
  record(op, peer, "began");
  const bool ignored =
      mutant(Mutant::mismatch_ignored) && !star && op.descriptor.algorithm != wire::Algorithm::star;
  if (op.descriptor != begin.descriptor && !ignored) {
    const std::string why =
        fmt::format("{}: {} calls with {}, {} with {}", to_string(begin.op), op.first_to_begin,
                    wire::describe(op.descriptor), peer.name(), wire::describe(begin.descriptor));
    state.mismatched.push_back(begin.op);
    if (state.mismatched.size() > remembered_mismatches) state.mismatched.pop_front();
    return decide(state, begin.op, wire::OpOutcome::mismatched, why);
  }
  conclude_if_complete(state, begin.op);
}

void MasterMachine::on_op_done(Peer& peer, const wire::OpDone& done) {
  if (!peer.accepted) return remove(peer.id, "protocol error: an op before admission");
  GroupState& state = groups_.at(peer.group);
  const auto found = state.ops.find(done.op);
  if (found == state.ops.end()) return;  // void, or decided
  if (!found->second.begun.contains(peer.id))
    return remove(peer.id,
                  fmt::format("protocol error: {} done before it began", to_string(done.op)));
  found->second.done.insert(peer.id);
  peer.progressed = now_;
  record(found->second, peer, "done");
  conclude_if_complete(state, done.op);
}

void MasterMachine::conclude_if_complete(GroupState& state, const OpKey& key) {
  const Op& op = state.ops.at(key);
  const std::size_t members = state.ring.size();
  if (op.descriptor.algorithm == wire::Algorithm::star) {
    if (op.begun.size() == members)
      decide(state, key, wire::OpOutcome::committed, {}, reduce_star(state, op));
    return;
  }
  const std::size_t needed = mutant(Mutant::early_commit) && members > 1 ? members - 1 : members;
  if (op.done.size() >= needed) decide(state, key, wire::OpOutcome::committed, {});
}

// In ring order, so that the master's arithmetic does not depend on who called first.
std::vector<std::byte> MasterMachine::reduce_star(const GroupState& state, const Op& op) const {
  std::vector<std::byte> result = op.begun.at(state.ring.front());
  const wire::OpDescriptor& what = op.descriptor;
  for (std::size_t rank = 1; rank < state.ring.size(); ++rank)
    kernels::reduce(what.op, what.type, result.data(), result.data(),
                    op.begun.at(state.ring[rank]).data(), what.count);
  kernels::finalize(what.op, what.type, result.data(), what.count,
                    static_cast<std::uint32_t>(state.ring.size()));
  return result;
}

void MasterMachine::decide(GroupState& state, const OpKey& key, wire::OpOutcome outcome,
                           std::string why, std::vector<std::byte> result) {
  state.last_verdict = state.last_verdict.next();
  const wire::OpVerdict verdict{key, state.last_verdict, outcome, std::move(result),
                                std::move(why)};
  for (const PeerId id : state.ring)
    if (const Peer* peer = find(id)) send(*peer, verdict);
  if (settings_.op_records)
    note(fmt::format("{} ({}) is decided{}", to_string(key),
                     wire::describe(state.ops.at(key).descriptor), state.ops.at(key).record),
         true);
  state.ops.erase(key);
}

// The newest verdict that every member is known to have.
VerdictNumber MasterMachine::watermark(const GroupState& state) const {
  VerdictNumber lowest = state.last_verdict;
  for (const PeerId id : state.ring)
    if (const Peer* peer = find(id)) lowest = std::min(lowest, peer->verdict_seen);
  return lowest;
}

// Verdicts carry the results of stars: a busy group does not keep them until the next heartbeat.
void MasterMachine::tell_watermark(GroupState& state) {
  const VerdictNumber now = watermark(state);
  if (now.value < state.watermark_told.value + limits::verdicts_per_report) return;
  state.watermark_told = now;
  for (const PeerId id : state.ring)
    if (const Peer* peer = find(id)) send(*peer, heartbeat(state, false));
}

// Tells peers what they may forget: verdicts of epochs before the one named, and of that one up to
// the number. A member that has not yet said that it is in the newest epoch may still lack
// verdicts of older ones.
wire::Heartbeat MasterMachine::heartbeat(const GroupState& state, bool probe) const {
  if (mutant(Mutant::watermark_too_early)) return {probe, state.epoch, state.last_verdict};
  Epoch oldest = state.epoch;
  for (const PeerId id : state.ring)
    if (const Peer* peer = find(id)) oldest = std::min(oldest, peer->epoch_seen);
  return {probe, oldest, oldest == state.epoch ? watermark(state) : VerdictNumber{}};
}

}  // namespace pccl::membership
