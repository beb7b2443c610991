// A peer whose master is away: it looks for it, tells a restarted one who it is and what it knows,
// and gives up when the master timeout has passed. A master that has not been restarted answers
// that this peer was removed when its connection ended.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/limits.hpp"
#include "membership/peer_machine.hpp"

namespace pccl::membership {

namespace {

// Doubles up to the limit; a little different for each peer, so that they do not come all at once.
Duration redial_pause(std::uint32_t dials, PeerId self) {
  const Duration pause = std::min(limits::first_redial_pause * (1u << std::min(dials, 10u)),
                                  limits::longest_redial_pause);
  return pause * (192 + self.low % 64) / 256;
}

}  // namespace

void PeerMachine::lose_master(const std::string& why) {
  if (!away_) {
    away_ = Away{.since = now_};
    effects_.push_back(PeerNote{"the master is away: " + why});
  }
  away_->why = why;
  away_->resuming = false;
  effects_.push_back(RedialMaster{redial_pause(away_->dials++, self_)});
}

void PeerMachine::introduce_again() {
  away_->resuming = true;
  if (standing_ == Standing::accepted) {
    effects_.push_back(SendToMaster{term_, wire::Resume{.group = settings_.group,
                                                        .peer = self_,
                                                        .p2p_port = p2p_port_,
                                                        .state_port = state_port_}});
    return;
  }
  // Not accepted yet: nothing that it was told counts any more.
  standing_ = Standing::greeting;
  proposed_.reset();
  standing_links_.reset();
  failed_links_.clear();
  effects_.push_back(KeepLinks{});
  wire::Hello again = hello();
  again.formerly = self_;
  effects_.push_back(SendToMaster{Term{}, again});
}

wire::Hello PeerMachine::hello() const {
  return {.group = settings_.group,
          .p2p_port = p2p_port_,
          .state_port = state_port_,
          .cohort = settings_.cohort.id,
          .cohort_size = settings_.cohort.size};
}

void PeerMachine::on_answer(const wire::Frame& frame) {
  if (!away_->resuming) return;  // from a connection that is given up
  const bool member = standing_ == Standing::accepted;
  if (const auto* welcome = std::get_if<wire::Welcome>(&frame.message);
      welcome != nullptr && (!member || frame.term > term_)) {
    effects_.push_back(
        PeerNote{fmt::format("the master is back after {:.3f} s", seconds(now_ - away_->since))});
    away_.reset();
    obey(frame.term, *welcome);
    if (member) return report();
    self_ = welcome->peer;
    standing_ = Standing::pending;
    return;
  }
  if (const auto* removed = std::get_if<wire::Removed>(&frame.message);
      removed != nullptr && member && frame.term >= term_)
    return leave(Status::removed, removed->why);
  const auto* const refused = std::get_if<wire::Refused>(&frame.message);
  lose_master(refused != nullptr
                  ? "it refuses: " + refused->why
                  : fmt::format("one of term {} does not keep the protocol of term {}",
                                frame.term.value, term_.value));
}

// Everything that a master without memory has to know, in the usual messages.
void PeerMachine::report() {
  stop_measuring();  // this master will say anew what it wants to know
  for (wire::OpVerdict& verdict : verdicts_to_report()) send(std::move(verdict));
  send(answer_);
  send(sync_result_);
  for (const auto& [key, op] : ops_) {
    send(wire::OpBegin{key, op.descriptor, op.input});
    if (op.finished) send(wire::OpDone{key});
  }
  if (sync_)
    send(offer_again());
  else if (call_)
    send(*call_);
  if (standing_links_ && standing_links_->epoch == ring_.epoch) send(links_ready());
  for (const auto& [outgoing, failed] : failed_links_) send(failed);
  wire::ResumeEnd end{.run = run_,
                      .epoch = ring_.epoch,
                      .verdict = newest_verdict_,
                      .ring = ring_.members,
                      .counts = ring_.counts};
  if (proposed_) {
    end.proposed = proposed_->epoch;
    std::copy_if(proposed_->members.begin(), proposed_->members.end(),
                 std::back_inserter(end.candidates), [&](const wire::Member& member) {
                   return std::find(end.ring.begin(), end.ring.end(), member) == end.ring.end();
                 });
  }
  send(std::move(end));
}

// A member lacks no more commits than it may have ops in flight: it has launched each of them.
std::vector<wire::OpVerdict> PeerMachine::verdicts_to_report() const {
  std::vector<wire::OpVerdict> verdicts;
  std::size_t commits = 0, voids = 0;
  for (auto kept = kept_.rbegin(); kept != kept_.rend(); ++kept) {
    const bool commit = kept->second.outcome == wire::OpOutcome::committed;
    if ((commit ? ++commits : ++voids) <=
        (commit ? limits::ops_in_flight : limits::resumed_void_verdicts))
      verdicts.push_back(kept->second);
  }
  return verdicts;
}

bool PeerMachine::gave_up_on_master(bool overslept) {
  if (overslept) away_->since = now_;
  return now_ - away_->since > settings_.master_timeout;
}

}  // namespace pccl::membership
