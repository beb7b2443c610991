// After a restart: a master that knows nothing learns from the peers that come back.
//
// Each of them says who it is (resume) and, once welcome, all that it knows: the ring that it is
// in, the verdicts that somebody may lack, the ops and the call that it waits in. The master waits
// until everybody is back whom anybody names as a member, or for one peer timeout; then it settles
// the run in one step:
//
//   - the newest run, and in it the newest epoch that anybody is in, counts; who is not in its ring
//   is
//     out;
//   - a verdict, or the answer to a unanimous call, that anybody knows is true: whoever lacks it is
//     told;
//   - when the whole ring is back and of one mind, the epoch goes on as if nothing had happened,
//   with
//     its links, ops and calls; otherwise a recovery of those who are back voids what is undecided.
//
// Why no more than that can be committed: docs/decisions/0007.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/limits.hpp"
#include "base/mutant.hpp"
#include "membership/master_machine.hpp"

namespace pccl::membership {

namespace {

// A predecessor may have proposed epochs to peers that do not come back, or not in time; what these
// still send must not be taken for something else. Its numbers are below this term, unless a clock
// went back: it has not made a proposal a microsecond.
Epoch first_of(Term term, Epoch newest) {
  constexpr std::uint64_t left_out = 1'000'000;
  return Epoch{std::max(term.value, newest.value < term.value ? 0 : newest.value + left_out)};
}

// Many of them are kept for each peer.
bool small_enough_to_keep(const wire::Message& message) {
  if (const auto* begin = std::get_if<wire::OpBegin>(&message))
    return begin->input.size() <= limits::star_bytes;
  if (const auto* verdict = std::get_if<wire::OpVerdict>(&message))
    return verdict->result.size() <= limits::star_bytes;
  return true;
}

bool waits_for_settlement(const wire::Message& message) {
  return std::holds_alternative<wire::OpBegin>(message) ||
         std::holds_alternative<wire::OpDone>(message) ||
         std::holds_alternative<wire::Call>(message) ||
         std::holds_alternative<wire::SyncOffer>(message) ||
         std::holds_alternative<wire::SyncDone>(message) ||
         std::holds_alternative<wire::StateDescribed>(message) ||
         std::holds_alternative<wire::PathMeasured>(message) ||
         std::holds_alternative<wire::LinksReady>(message) ||
         std::holds_alternative<wire::LinkFailed>(message);
}

bool plausible(const wire::ResumeEnd& end, PeerId self) {
  std::set<PeerId> members;
  for (const wire::Member& member : end.ring) members.insert(member.peer);
  return members.size() == end.ring.size() && members.contains(self) &&
         end.ring.size() <= limits::peers && end.epoch != Epoch{} &&
         std::max(end.epoch, end.proposed).value < limits::highest_number &&
         end.verdict.value < limits::highest_number;
}

}  // namespace

// What the members of one group know together.
struct MasterMachine::Settlement {
  std::vector<std::pair<PeerId, const Report*>> reports;
  Epoch epoch;                       // in force: the newest that anybody is in
  Epoch newest;                      // that anybody has heard of
  std::vector<wire::Member> ring;    // of the epoch
  std::vector<std::string> missing;  // members that are not back
  bool of_one_mind = true;           // all are in the epoch, and in nothing else
  std::map<std::pair<Epoch, VerdictNumber>, wire::OpVerdict> verdicts;
  std::set<OpKey> decided;
  wire::SyncResult sync;  // the newest
};

// ---- who comes back
// ----------------------------------------------------------------------------------

void MasterMachine::resume_peer(Connection connection, const wire::Resume& resume, Term term) {
  if (term.value >= limits::highest_term)
    return refuse(connection, "protocol error: a term beyond the highest");
  settle_when_due();  // this one may be too late
  // Its connection may end here later than there; until then somebody else could say so.
  if (peers_.contains(resume.peer))
    return refuse(connection, "the former connection of this peer still stands here");
  if (term == settings_.term) {
    const auto reason = std::find_if(removed_.rbegin(), removed_.rend(), [&](const auto& removed) {
      return removed.first == resume.peer;
    });
    return dismiss(connection,
                   reason == removed_.rend() ? "it is not in this run" : reason->second);
  }
  if (resumed_ || !accepted_peers().empty())
    return term > settings_.term
               ? refuse(connection, fmt::format("this master's term {} is older than {}",
                                                settings_.term.value, term.value))
               : dismiss(connection,
                         "the master was restarted, and the run has gone on without it since");
  if (!resumption_) begin_resumption(term);
  resumption_->obeyed = std::max(resumption_->obeyed, term);
  if (term >= settings_.term)
    return refuse(connection, fmt::format("this master's term {} is older than {}",
                                          settings_.term.value, term.value));
  register_peer(connection, resume.peer, resume.group, {resume.p2p_port, resume.state_port});
  resumption_->reports[resume.peer];
}

void MasterMachine::dismiss(Connection connection, std::string why) {
  note(fmt::format("dismisses connection {}: {}", connection.value, why));
  unintroduced_.erase(connection);
  effects_.push_back(Send{connection, wire::Removed{std::move(why)}});
  close(connection);
}

void MasterMachine::begin_resumption(Term last_obeyed) {
  resumption_.emplace().deadline = now_ + settings_.peer_timeout;
  // Newcomers that were about to be let into what looked like an empty run.
  admission_.reset();
  admission_groups_.clear();
  for (auto& [group, state] : groups_) {
    state.linking.reset();
    forgotten_ = std::max(forgotten_, state.newest);
  }
  if (last_obeyed <= settings_.term) return;
  // The clock went back between two lives. Who has been welcomed says hello again.
  note(fmt::format("takes up term {}: a peer has obeyed {}", last_obeyed.next().value,
                   last_obeyed.value));
  settings_.term = last_obeyed.next();
  for (const auto& [id, peer] : peers_) close(peer.connection);
  peers_.clear();
  by_connection_.clear();
}

void MasterMachine::on_report(Peer& peer, const wire::Message& message) {
  Report& report = resumption_->reports.at(peer.id);
  if (std::holds_alternative<wire::Heartbeat>(message)) return;
  if (std::holds_alternative<wire::Leave>(message))
    return remove(peer.id, "it left the run", false);
  const bool over = report.end.has_value();
  if (const auto* end = std::get_if<wire::ResumeEnd>(&message); end != nullptr && !over) {
    if (!plausible(*end, peer.id)) return remove(peer.id, "protocol error: an impossible ring");
    report.end = *end;
    note(fmt::format("{} is back, in epoch {} of group {}", peer.name(), end->epoch.value,
                     peer.group.value));
    return;
  }
  if (report.pending.size() + report.verdicts.size() >= limits::resume_messages ||
      !small_enough_to_keep(message))
    return remove(peer.id, "protocol error: it has too much to say");
  const auto* const verdict = std::get_if<wire::OpVerdict>(&message);
  const auto* const answer = std::get_if<wire::CallResult>(&message);
  const auto* const sync = std::get_if<wire::SyncResult>(&message);
  if (verdict != nullptr && !over) {
    report.verdicts.push_back(*verdict);
  } else if (answer != nullptr && !over && answer->round.value < limits::highest_number) {
    report.answer = *answer;
  } else if (sync != nullptr && !over && sync->round.value < limits::highest_number &&
             sync->revision.value < limits::highest_number) {
    report.sync = *sync;
  } else if (waits_for_settlement(message)) {
    report.pending.push_back(message);
  } else {
    remove(peer.id, fmt::format("protocol error: a peer that comes back does not send {} messages",
                                wire::name_of(wire::kind_of(message))));
  }
}

// ---- when
// --------------------------------------------------------------------------------------------

void MasterMachine::settle_when_due() {
  if (resumption_ && (now_ > resumption_->deadline || everybody_is_back())) settle();
}

// All reports are complete, and everybody whom the last life had accepted is among them, under the
// name of now or then. Who that is stands in its recollection, or is known to those who report.
bool MasterMachine::everybody_is_back() const {
  std::set<PeerId> accounted_for;
  for (const auto& [id, report] : resumption_->reports)
    if (!report.end) return false;
  for (const auto& [id, peer] : peers_)
    accounted_for.insert(resumption_->reports.contains(id) ? id : peer.formerly);
  const auto& before = settings_.recollection;
  if (before && before->term == resumption_->obeyed && before->run == newest_run(*resumption_))
    return std::all_of(before->members.begin(), before->members.end(),
                       [&](PeerId id) { return accounted_for.contains(id); });
  return all_of_the_newest_rings(accounted_for);
}

// Every peer that the newest ring of a group names, and an admission that may have been installed
// since; in as many groups as anybody has counted.
bool MasterMachine::all_of_the_newest_rings(const std::set<PeerId>& accounted_for) const {
  struct Newest {
    const wire::ResumeEnd* in_force = nullptr;
    const wire::ResumeEnd* proposed = nullptr;
  };
  const Term run = newest_run(*resumption_);
  std::map<Group, Newest> of_group;
  std::uint32_t groups = 0;
  for (const auto& [id, report] : resumption_->reports) {
    if (report.end->run != run) continue;
    Newest& newest = of_group[peers_.at(id).group];
    if (!newest.in_force || report.end->epoch > newest.in_force->epoch)
      newest.in_force = &*report.end;
    if (!newest.proposed || report.end->proposed > newest.proposed->proposed)
      newest.proposed = &*report.end;
    groups = std::max(groups, report.end->counts.distinct_groups);
  }
  if (of_group.empty() || of_group.size() < groups) return false;
  if (mutant(Mutant::waits_for_nobody)) return true;
  // One alone may have slept through the beginning of another run.
  if (resumption_->reports.size() == 1 && now_ < *opens_) return false;
  const auto all_of = [&](const std::vector<wire::Member>& ring) {
    return std::all_of(ring.begin(), ring.end(), [&](const wire::Member& member) {
      return accounted_for.contains(member.peer);
    });
  };
  return std::all_of(of_group.begin(), of_group.end(), [&](const auto& entry) {
    const auto& [in_force, proposed] = entry.second;
    return all_of(in_force->ring) &&
           (proposed->proposed <= in_force->epoch || all_of(proposed->candidates));
  });
}

Term MasterMachine::newest_run(const Resumption& resumption) {
  Term run;
  for (const auto& [id, report] : resumption.reports)
    if (report.end) run = std::max(run, report.end->run);
  return run;
}

// ---- settling
// ----------------------------------------------------------------------------------------

void MasterMachine::settle() {
  woke_ = now_;  // failures of links that are reported now say nothing about when they happened
  run_ = newest_run(*resumption_);
  std::vector<std::pair<PeerId, std::string>> out;
  for (const auto& [id, report] : resumption_->reports)
    if (!report.end)
      out.emplace_back(id, "after the master's restart it did not say in time what it knows");
    else if (report.end->run != run_)  // its run has ended: no master has met anybody of it
      out.emplace_back(id, "another run has begun at this master since");
  for (const auto& [id, why] : out) remove(id, why);
  Resumption resumption = *std::exchange(resumption_, std::nullopt);
  resumed_ = !resumption.reports.empty();
  to_remember_ = true;
  std::map<Group, Settlement> all = settlements(resumption);
  for (auto& [group, settlement] : all) restore(group, settlement);
  tell_known_results(resumption, all);  // before any change: the others heard theirs before it, too
  for (const auto& [group, settlement] : all) go_on(group, settlement);
  hear_what_waited(resumption, all);
}

std::map<Group, MasterMachine::Settlement> MasterMachine::settlements(
    const Resumption& resumption) {
  std::map<Group, Settlement> all;
  for (const auto& [id, report] : resumption.reports) {
    Settlement& settlement = all[peers_.at(id).group];
    settlement.reports.emplace_back(id, &report);
    settlement.newest = std::max({settlement.newest, report.end->epoch, report.end->proposed});
    round_ = std::max(round_, report.answer.round);
    if (report.end->epoch <= settlement.epoch) continue;
    settlement.epoch = report.end->epoch;
    settlement.ring = report.end->ring;
  }
  for (auto& [group, settlement] : all) {
    std::vector<std::pair<PeerId, const Report*>> members;
    for (const auto& [id, report] : settlement.reports) {
      const bool member =
          std::any_of(settlement.ring.begin(), settlement.ring.end(),
                      [id = id](const wire::Member& other) { return other.peer == id; }) &&
          (report->end->epoch < settlement.epoch || report->end->ring == settlement.ring);
      if (!member) {
        remove(id, fmt::format("it is not in epoch {}, the newest of its group",
                               settlement.epoch.value));
        continue;
      }
      members.emplace_back(id, report);
      if (report->end->epoch != settlement.epoch || report->end->proposed != Epoch{})
        settlement.of_one_mind = false;
      // A newcomer knows how many there were, and not how they ended.
      if (std::pair(report->sync.round, report->sync.synchronised) >
          std::pair(settlement.sync.round, settlement.sync.synchronised))
        settlement.sync = report->sync;
      for (const wire::OpVerdict& verdict : report->verdicts) {
        settlement.verdicts[{verdict.op.epoch, verdict.number}] = verdict;
        settlement.decided.insert(verdict.op);
      }
    }
    settlement.reports = std::move(members);
  }
  return all;
}

// The group as its members know it; and each of them learns what it lacks of that.
void MasterMachine::restore(Group group, Settlement& settlement) {
  GroupState& state = groups_[group];
  state.epoch = settlement.epoch;
  state.newest = first_of(settings_.term, settlement.newest);
  if (mutant(Mutant::epochs_begin_again)) state.newest = Epoch{};
  forgotten_ = mutant(Mutant::epochs_begin_again) ? Epoch{} : std::max(forgotten_, state.newest);
  state.syncs = settlement.sync.round;
  if (settlement.sync.synchronised)
    state.history = {settlement.sync.revision.next(), settlement.sync.content};
  for (const auto& [id, report] : settlement.reports) {
    Peer& peer = peers_.at(id);
    peer.accepted = true;
    peer.epoch_seen = report->end->epoch;
    if (peer.epoch_seen != state.epoch) continue;
    peer.verdict_seen = report->end->verdict;
    state.last_verdict = std::max(state.last_verdict, peer.verdict_seen);
  }
  for (const wire::Member& member : settlement.ring) {
    const Peer* const peer = find(member.peer);
    if (peer != nullptr && peer->accepted && peer->group == group)
      state.ring.push_back(member.peer);
    else
      settlement.missing.push_back(
          fmt::format("peer {} ({})", short_name(member.peer), to_string(member.p2p)));
  }
  for (const auto& [name, verdict] : settlement.verdicts)
    if (name.first == state.epoch && verdict.outcome != wire::OpOutcome::committed)
      state.mismatched.push_back(verdict.op);
  if (!mutant(Mutant::known_verdict_ignored)) tell_known_verdicts(settlement);
}

// In order, and without a gap: else the epoch cannot go on.
void MasterMachine::tell_known_verdicts(Settlement& settlement) {
  const GroupState& state = groups_.at(peers_.at(settlement.reports.front().first).group);
  for (const auto& [id, report] : settlement.reports) {
    std::pair next{report->end->epoch, report->end->verdict.next()};
    for (auto known = settlement.verdicts.find(next);
         known != settlement.verdicts.end() && known->first == next; ++known) {
      send(peers_.at(id), known->second);
      next.second = next.second.next();
    }
    if (next.first == state.epoch && next.second != state.last_verdict.next())
      settlement.of_one_mind = false;
  }
}

void MasterMachine::go_on(Group group, const Settlement& settlement) {
  GroupState& state = groups_.at(group);
  if (settlement.of_one_mind && settlement.missing.empty()) {
    note(fmt::format("goes on with epoch {} of group {}: all {} members are back",
                     state.epoch.value, group.value, state.ring.size()));
    state.linking = Linking{state.epoch,
                            wire::EpochReason::recovery,
                            state.ring,
                            {},
                            now_ + 3 * settings_.peer_timeout};
    return;
  }
  std::string who;
  for (const std::string& name : settlement.missing) who += (who.empty() ? "" : ", ") + name;
  recover(group, who.empty() ? "the master was restarted while the membership changed"
                             : "the master was restarted, and " + who + " has not come back");
}

// To who offered its state before the master died, took part in the sync that has ended since, and
// has not heard of it. Answers to other calls come after the change, as these show the membership
// that an update has made, which such a peer may not have heard of either.
void MasterMachine::tell_known_results(Resumption& resumption,
                                       const std::map<Group, Settlement>& all) {
  if (mutant(Mutant::known_answer_ignored)) return;
  for (auto& [id, report] : resumption.reports) {
    const Peer* const peer = find(id);
    if (peer == nullptr) continue;
    const auto said = std::find_if(report.pending.begin(), report.pending.end(), [](const auto& m) {
      return std::holds_alternative<wire::SyncOffer>(m);
    });
    wire::SyncResult result = all.at(peer->group).sync;
    if (said == report.pending.end() || report.sync.round >= result.round) continue;
    result.call = std::get<wire::SyncOffer>(*said).call;
    send(*peer, std::move(result));
    report.pending.erase(said);
  }
}

// What peers said again, and what they have done since, as if it came only now.
void MasterMachine::hear_what_waited(const Resumption& resumption,
                                     const std::map<Group, Settlement>& all) {
  const auto newest = std::max_element(
      resumption.reports.begin(), resumption.reports.end(),
      [](const auto& a, const auto& b) { return a.second.answer.round < b.second.answer.round; });
  for (const auto& [id, report] : resumption.reports) {
    bool lacks_answer = !report.knows_answer_of(round_) && !mutant(Mutant::known_answer_ignored);
    for (const wire::Message& message : report.pending) {
      Peer* const peer = find(id);
      if (peer == nullptr) break;
      const auto* const begin = std::get_if<wire::OpBegin>(&message);
      const auto* const done = std::get_if<wire::OpDone>(&message);
      const auto* const call = std::get_if<wire::Call>(&message);
      if (begin != nullptr || done != nullptr) {
        const OpKey& op = begin != nullptr ? begin->op : done->op;
        if (all.at(peer->group).decided.contains(op)) continue;
        if (begin != nullptr && mutant(Mutant::resumed_op_counts_as_done)) {
          on_frame(*peer, message);
          if (find(id) != nullptr) on_op_done(*find(id), {op});
          continue;
        }
      }
      if (call != nullptr && std::exchange(lacks_answer, false)) {
        wire::CallResult answer = newest->second.answer;
        answer.call = call->call;
        send(*peer, std::move(answer));
        continue;
      }
      on_frame(*peer, message);
    }
  }
}

}  // namespace pccl::membership
