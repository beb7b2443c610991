// Ops as a peer sees them: launched under the epoch that the caller has seen, ended by the master's
// verdict or by the next epoch, whichever comes first on the one connection that carries both.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/limits.hpp"
#include "base/mutant.hpp"
#include "membership/peer_machine.hpp"

namespace pccl::membership {

namespace {

Outcome outcome_of(const wire::OpVerdict& verdict) {
  switch (verdict.outcome) {
    case wire::OpOutcome::committed:
      return {};
    case wire::OpOutcome::aborted:
      return {Status::peer_lost, verdict.why};
    case wire::OpOutcome::mismatched:
      return {Status::invalid_argument, verdict.why};
  }
  return {Status::internal, "unknown verdict"};
}

}  // namespace

Outcome PeerMachine::may_launch(std::size_t held_back) const {
  if (standing_ == Standing::gone) return unusable();
  if (standing_ != Standing::accepted) return {Status::invalid_usage, "not connected"};
  if (seen_.group_world_size < 2) return {Status::too_few_peers, "this peer is alone in its group"};
  if (const std::size_t ops = ops_.size() + held_back; ops >= limits::ops_in_flight)
    return {Status::invalid_usage, fmt::format("{} ops are in flight, the limit", ops)};
  return {};
}

void PeerMachine::on(const LaunchRequested& event) {
  const bool stale = seen_.epoch != ring_.epoch && !mutant(Mutant::stale_launch_accepted);
  const Outcome may = may_launch();
  if (!may.ok() || stale) {
    Outcome refused =
        may.ok() ? Outcome{Status::peer_lost,
                           "the membership has changed since this caller last looked: " + ring_.why}
                 : may;
    effects_.push_back(CompleteOp{event.handle, std::move(refused), 0, {}});
    return;
  }
  Launch& next = next_launch_[event.tag];
  const OpKey key{ring_.epoch, event.tag, next};
  next = next.next();
  const bool star = event.descriptor.algorithm == wire::Algorithm::star;
  const auto world = static_cast<std::uint32_t>(ring_.members.size());
  const auto op =
      ops_.emplace(key, Op{event.handle, world, !star, false, event.descriptor, event.input}).first;
  if (const auto early = early_.find(key); early != early_.end()) {
    effects_.push_back(PassOver{key});
    op->second.moves_data = false;
    end_op(op, outcome_of(early->second));
    early_.erase(early);
    return;
  }
  send(wire::OpBegin{key, event.descriptor, event.input});
  if (star)
    effects_.push_back(PassOver{key});
  else
    effects_.push_back(
        StartRing{event.handle, key, static_cast<std::uint32_t>(rank_in(ring_)), world, ring_.rtt});
}

std::optional<OpKey> PeerMachine::key_of(OpHandle handle) const {
  for (const auto& [key, op] : ops_)
    if (op.handle == handle) return key;
  return std::nullopt;
}

void PeerMachine::on(const OpFinished& event) {
  const auto op = ops_.find(event.op);
  if (op == ops_.end()) return;
  op->second.finished = true;
  send(wire::OpDone{event.op});
}

void PeerMachine::on_verdict(const wire::OpVerdict& verdict) {
  if (verdict.op.epoch != ring_.epoch && !mutant(Mutant::ops_survive_epoch)) return;
  if (verdict.outcome == wire::OpOutcome::committed && !may_be_committed(verdict))
    return leave(Status::master_lost,
                 fmt::format("protocol error: {} cannot be committed with {} bytes of result",
                             to_string(verdict.op), verdict.result.size()));
  newest_verdict_ = std::max(newest_verdict_, verdict.number);
  if (!mutant(Mutant::forgotten_verdict)) kept_[{verdict.op.epoch, verdict.number}] = verdict;
  if (++unreported_verdicts_ >= limits::verdicts_per_report) {
    unreported_verdicts_ = 0;
    send(heartbeat(false));
  }
  const auto op = ops_.find(verdict.op);
  if (op != ops_.end()) return end_op(op, outcome_of(verdict), verdict.result);
  early_[verdict.op] = verdict;
  effects_.push_back(PassOver{verdict.op});
}

// The caller's buffer takes the result, and is the caller's again.
bool PeerMachine::may_be_committed(const wire::OpVerdict& verdict) const {
  const auto found = ops_.find(verdict.op);
  if (found == ops_.end()) return false;
  const Op& op = found->second;
  return (op.finished || !op.moves_data) && verdict.result.size() == op.input.size();
}

void PeerMachine::end_op(std::map<OpKey, Op>::iterator op, Outcome outcome,
                         std::vector<std::byte> result) {
  const auto [key, what] = *op;
  ops_.erase(op);
  if (what.moves_data && !outcome.ok()) effects_.push_back(CancelRing{key});
  effects_.push_back(
      CompleteOp{what.handle, std::move(outcome), what.world_size, std::move(result)});
}

void PeerMachine::end_all_ops(Status status, const std::string& why) {
  while (!ops_.empty()) end_op(ops_.begin(), {status, why});
}

void PeerMachine::on(const FailureSeen&) {
  if (standing_ == Standing::accepted) see_newest();
}

void PeerMachine::forget_verdicts(Epoch epoch, VerdictNumber watermark) {
  std::erase_if(kept_, [&](const auto& verdict) {
    return verdict.first.first < epoch ||
           (verdict.first.first == epoch && verdict.first.second <= watermark);
  });
}

}  // namespace pccl::membership
