#include "sim/ledger.hpp"

#include <algorithm>

namespace pccl::sim {

namespace {
constexpr std::uint32_t groups_of_a_run = 1000;
}

Ledger::Peer& Ledger::peer(PeerId id) {
  const auto found = peers_.find(id);
  PCCL_REQUIRE(found != peers_.end(), "Membership", "peer {} was never registered", short_name(id));
  return found->second;
}

const Ledger::Peer& Ledger::peer(PeerId id) const {
  return const_cast<Ledger*>(this)->peer(id);
}

const std::vector<PeerId>* Ledger::ring(Group group, Epoch epoch) const {
  const auto found = epochs_.find({group, epoch});
  return found == epochs_.end() ? nullptr : &found->second.ring;
}

bool Ledger::accepted(PeerId id) const {
  const auto found = peers_.find(id);
  return found != peers_.end() && found->second.accepted && !found->second.removed;
}

std::size_t Ledger::accepted_in(Group group) const {
  return static_cast<std::size_t>(
      std::count_if(peers_.begin(), peers_.end(), [&](const auto& entry) {
        return entry.second.group == group && entry.second.accepted && !entry.second.removed;
      }));
}

std::vector<PeerId> Ledger::accepted_peers() const {
  std::vector<PeerId> accepted;
  for (const auto& [id, who] : peers_)
    if (who.accepted && !who.removed) accepted.push_back(id);
  return accepted;
}

// ---- the master

void Ledger::registered(PeerId id, Group group, const std::string& name) {
  const auto [at, first] = peers_.emplace(id, Peer{.group = group, .name = name});
  Peer& who = at->second;
  const bool is_back = life_ > 0 && who.accepted && who.name == name &&
                       who.group.value % groups_of_a_run == group.value &&
                       (!who.removed || who.removed_in_life < life_ || took_over_in_life_ < life_);
  PCCL_REQUIRE(first || is_back, "Membership", "identity {} was given twice", short_name(id));
  who.removed = false;  // of that nobody has heard, or it will be removed again
}

void Ledger::master_died() {
  ++life_;
  for (auto& [id, who] : peers_) who.in_call = who.offering = false;
  sync_results_.clear();
  answers_.clear();
  newly_accepted_ = removals_ = 0;
}

void Ledger::master_took_over() {
  forget_revisions_of_the_gone();
  took_over_in_life_ = life_;
  forget_what_only_the_gone_knew();
  for (auto& [id, who] : peers_) {
    who.last_verdict = who.last_seen_verdict;
    who.installed = {};
    who.last_round = {};
  }
}

bool Ledger::gone(const std::set<PeerId>& peers) const {
  return std::all_of(peers.begin(), peers.end(), [this](PeerId id) { return peer(id).removed; });
}

// Of the master's lives before: whoever came back can know nothing of it.
void Ledger::forget_what_only_the_gone_knew() {
  const auto lost = [this](const auto& entry) {
    return entry.second.life < life_ && gone(entry.second.had_by);
  };
  std::erase_if(verdicts_, lost);
  std::erase_if(open_verdicts_, lost);
  std::erase_if(rounds_, lost);
}

// A master's memory of the revisions dies with it: those who synchronised tell the next one.
void Ledger::forget_revisions_of_the_gone() {
  for (auto& [group, revisions] : contents_)
    std::erase_if(revisions, [this](const auto& entry) { return gone(entry.second.had_by); });
}

void Ledger::removed(PeerId id) {
  peer(id).removed = true;
  peer(id).removed_in_life = life_;
  ++removals_;
  if (accepted_in(peer(id).group) == 0) contents_.erase(peer(id).group);
  forget_what_only_the_gone_knew();
  std::erase_if(open_verdicts_,
                [this](const auto& entry) { return everybody_has(entry.first, entry.second); });
}

void Ledger::proposed(PeerId to, const wire::EpochProposed& proposal) {
  Peer& who = peer(to);
  PCCL_REQUIRE(proposal.epoch > who.proposed, "Epochs never go back",
               "epoch {} is proposed to {} after epoch {}", proposal.epoch.value, who.name,
               who.proposed.value);
  who.proposed = proposal.epoch;
  std::vector<PeerId> ring;
  for (const wire::Member& member : proposal.ring) ring.push_back(member.peer);
  name_run(ring);
  PCCL_REQUIRE(std::set<PeerId>(ring.begin(), ring.end()).size() == ring.size(),
               "Each member once in the ring", "epoch {} of group {}", proposal.epoch.value,
               who.group.value);
  PCCL_REQUIRE(std::find(ring.begin(), ring.end(), to) != ring.end(), "Membership",
               "{} is offered a ring without it", who.name);
  for (const PeerId id : ring)
    PCCL_REQUIRE(peer(id).group == who.group && !peer(id).removed, "Membership",
                 "{} is in a ring of group {}", peer(id).name, who.group.value);
  const auto [at, first] = epochs_.emplace(EpochName{who.group, proposal.epoch},
                                           Membership{ring, proposal.reason, proposal.token, {}});
  PCCL_REQUIRE(first || (at->second.ring == ring && at->second.token == proposal.token),
               "One membership per epoch", "epoch {} of group {} has two rings",
               proposal.epoch.value, who.group.value);
}

// A master that has met nobody of the run before begins another one, and its epochs from 1.
void Ledger::name_run(const std::vector<PeerId>& ring) {
  const auto member = std::find_if(ring.begin(), ring.end(), [this](PeerId id) {
    return peer(id).accepted && !peer(id).removed;
  });
  const Group group =
      member != ring.end()
          ? peer(*member).group
          : Group{peer(ring.front()).group.value % groups_of_a_run + life_ * groups_of_a_run};
  for (const PeerId id : ring)
    if (peer(id).group.value % groups_of_a_run == group.value % groups_of_a_run)
      peer(id).group = group;
}

void Ledger::links_ready(PeerId from, Epoch epoch) {
  const auto found = epochs_.find({peer(from).group, epoch});
  if (found != epochs_.end()) found->second.ready.insert(from);
}

void Ledger::installed(PeerId to, const wire::EpochInstalled& installed) {
  Peer& who = peer(to);
  const auto found = epochs_.find({who.group, installed.epoch});
  PCCL_REQUIRE(found != epochs_.end(), "Membership",
               "epoch {} is installed, but was never proposed", installed.epoch.value);
  PCCL_REQUIRE(installed.epoch > who.installed, "Epochs never go back", "{} installs {} after {}",
               who.name, installed.epoch.value, who.installed.value);
  who.installed = installed.epoch;
  for (const PeerId member : found->second.ring)
    PCCL_REQUIRE(found->second.ready.contains(member), "Installed means linked",
                 "epoch {} of group {} is installed before the links of {} stand",
                 installed.epoch.value, who.group.value, peer(member).name);
  if (!who.accepted) ++newly_accepted_;
  who.accepted = true;
}

void Ledger::decided(PeerId to, const wire::OpVerdict& verdict) {
  Peer& who = peer(to);
  const std::pair now{verdict.op.epoch, verdict.number};
  PCCL_REQUIRE(now > who.last_verdict, "Verdict numbers never go back",
               "{} is sent verdict {} of epoch {} after {} of {}", who.name, verdict.number.value,
               verdict.op.epoch.value, who.last_verdict.second.value, who.last_verdict.first.value);
  who.last_verdict = now;
  const VerdictName name{{who.group, verdict.op.epoch}, verdict.number};
  const auto [at, first] = verdicts_.emplace(name, Verdict{verdict.op, verdict.outcome, {}, life_});
  PCCL_REQUIRE(first || (at->second.op == verdict.op && at->second.outcome == verdict.outcome),
               "One verdict per op", "verdict {} of epoch {} has two meanings",
               verdict.number.value, verdict.op.epoch.value);
  if (first && verdict.outcome == wire::OpOutcome::committed)
    open_verdicts_.emplace(name, at->second);
}

void Ledger::called(PeerId from) {
  peer(from).in_call = true;
}

void Ledger::answered(PeerId to, const wire::CallResult& result) {
  PCCL_REQUIRE(peer(to).in_call, "Unanimous calls", "{} gets an answer that it did not ask for",
               peer(to).name);
  peer(to).in_call = false;
  PCCL_REQUIRE(result.round > peer(to).last_round, "Unanimous calls",
               "{} is sent round {} after {}", peer(to).name, result.round.value,
               peer(to).last_round.value);
  peer(to).last_round = result.round;
  const auto known = rounds_.find(result.round);
  if (known == rounds_.end()) {
    answers_.emplace_back(to, result);
    return;
  }
  // Somebody has had this answer from a master that is gone.
  const wire::CallResult& before = known->second.result;
  PCCL_REQUIRE(result.status == before.status && result.peers_pending == before.peers_pending &&
                   result.counts == before.counts,
               "Unanimous calls", "{} gets another answer to round {} than {}", peer(to).name,
               result.round.value, peer(*known->second.had_by.begin()).name);
}

void Ledger::watermark(PeerId to, const wire::Heartbeat& beat) {
  const Peer& who = peer(to);
  for (const auto& [name, verdict] : open_verdicts_) {
    const auto& [epoch, number] = name;
    if (epoch.first != who.group || epoch.second > beat.epoch ||
        (epoch.second == beat.epoch && number > beat.verdict))
      continue;
    PCCL_REQUIRE(everybody_has(name, verdict), "Watermark",
                 "the master tells {} that all members have verdict {} of epoch {}", who.name,
                 name.second.value, beat.epoch.value);
  }
}

void Ledger::master_stepped(const wire::RunCounts& counts) {
  wire::RunCounts own;
  std::map<Group, std::uint32_t> sizes;
  for (const auto& [id, who] : peers_)
    if (who.accepted && !who.removed) {
      ++own.global_world_size;
      ++sizes[who.group];
    }
  own.distinct_groups = static_cast<std::uint32_t>(sizes.size());
  for (const auto& [group, size] : sizes)
    own.largest_group_world_size = std::max(own.largest_group_world_size, size);
  PCCL_REQUIRE(counts == own, "Counts are of accepted peers",
               "{} peers, {} groups, the largest of {}, where {}, {} and {} are accepted",
               counts.global_world_size, counts.distinct_groups, counts.largest_group_world_size,
               own.global_world_size, own.distinct_groups, own.largest_group_world_size);
  if (!answers_.empty()) {
    for (const auto& [to, result] : answers_) {
      wire::CallResult same = result;
      same.call = answers_.front().second.call;
      PCCL_REQUIRE(same.status == answers_.front().second.status &&
                       same.peers_pending == answers_.front().second.peers_pending &&
                       same.counts == answers_.front().second.counts,
                   "Unanimous calls", "{} gets another answer than {}", peer(to).name,
                   peer(answers_.front().first).name);
      PCCL_REQUIRE(removals_ > 0 || result.counts == own, "Counts are of accepted peers",
                   "an answer to {} says {} peers, not {}", peer(to).name,
                   result.counts.global_world_size, own.global_world_size);
    }
    PCCL_REQUIRE(answers_.size() + newly_accepted_ == own.global_world_size || removals_ > 0,
                 "Unanimous calls", "{} answers for {} accepted peers", answers_.size(),
                 own.global_world_size - newly_accepted_);
    rounds_[answers_.front().second.round] = {answers_.front().second, {}, life_};
    answers_.clear();
  }
  for (const auto& [group, results] : sync_results_) {
    for (const auto& [to, result] : results)
      PCCL_REQUIRE(result.status == results.front().second.status &&
                       result.revision == results.front().second.revision &&
                       result.content == results.front().second.content,
                   "Unanimous calls", "{} gets another result of a sync than {}", peer(to).name,
                   peer(results.front().first).name);
    const wire::SyncResult& result = results.front().second;
    SyncRound& round = sync_rounds_[{group, result.round}];
    // After a restart it is told to those who had not heard of it.
    const bool told_again = round.life > 0 && round.life < life_ + 1 &&
                            round.revision == result.revision && round.content == result.content;
    if (!told_again) round = {life_ + 1, result.revision, result.content};
    PCCL_REQUIRE(told_again || removals_ > 0 || results.size() == accepted_in(group),
                 "Unanimous calls", "a sync of group {} ends for {} of {} peers", group.value,
                 results.size(), accepted_in(group));
  }
  sync_results_.clear();
  newly_accepted_ = removals_ = 0;
}

void Ledger::offered(PeerId from) {
  peer(from).offering = true;
}

void Ledger::sync_ended(PeerId to, const wire::SyncResult& result) {
  Peer& who = peer(to);
  PCCL_REQUIRE(who.offering, "Unanimous calls", "{} is told the end of a sync that it is not in",
               who.name);
  who.offering = false;
  sync_results_[who.group].emplace_back(to, result);
}

void Ledger::synced(PeerId id, Revision revision, const Digest& content) {
  if (peer(id).removed) return;  // it learns late of a group that has gone on, or is no more
  const auto [at, first] = contents_[peer(id).group].emplace(revision, Content{content, {}});
  syncs_ += first ? 1 : 0;
  at->second.had_by.insert(id);
  PCCL_REQUIRE(at->second.digest == content, "Revisions never fork",
               "revision {} of group {} is {} at {}, and was {}", revision.value,
               peer(id).group.value, short_name(content), peer(id).name,
               short_name(at->second.digest));
}

// ---- the peers

void Ledger::entered(PeerId id, Epoch epoch, const std::vector<wire::Member>& ring) {
  Peer& who = peer(id);
  if (epoch == who.entered) return;
  PCCL_REQUIRE(epoch > who.entered, "Epochs never go back", "{} enters epoch {} after {}", who.name,
               epoch.value, who.entered.value);
  who.entered = epoch;
  const auto found = epochs_.find({who.group, epoch});
  PCCL_REQUIRE(found != epochs_.end(), "One membership per epoch", "{} enters an unknown epoch {}",
               who.name, epoch.value);
  PCCL_REQUIRE(
      std::equal(ring.begin(), ring.end(), found->second.ring.begin(), found->second.ring.end(),
                 [](const wire::Member& member, PeerId other) { return member.peer == other; }),
      "One membership per epoch", "{} has another ring for epoch {}", who.name, epoch.value);
}

void Ledger::saw_verdict(PeerId id, const wire::OpVerdict& verdict) {
  Peer& who = peer(id);
  const VerdictName name{{who.group, verdict.op.epoch}, verdict.number};
  who.last_seen_verdict =
      std::max(who.last_seen_verdict, std::pair{verdict.op.epoch, verdict.number});
  if (const auto any = verdicts_.find(name); any != verdicts_.end()) any->second.had_by.insert(id);
  const auto found = open_verdicts_.find(name);
  if (found == open_verdicts_.end()) return;
  found->second.had_by.insert(id);
  if (everybody_has(found->first, found->second)) open_verdicts_.erase(found);
}

void Ledger::saw_round(PeerId id, CallRound round) {
  if (const auto found = rounds_.find(round); found != rounds_.end())
    found->second.had_by.insert(id);
}

bool Ledger::everybody_has(const VerdictName& name, const Verdict& verdict) const {
  const std::vector<PeerId>& ring = epochs_.at(name.first).ring;
  return std::all_of(ring.begin(), ring.end(),
                     [&](PeerId id) { return peer(id).removed || verdict.had_by.contains(id); });
}

// ---- the applications

std::string Ledger::describe(const OpName& op) const {
  return fmt::format("{} of group {}", to_string(op.second), op.first.value);
}

void Ledger::launched(PeerId id, const OpKey& key, Epoch seen, const Launch& launch) {
  const OpName name{peer(id).group, key};
  PCCL_REQUIRE(key.epoch == peer(id).entered, "Stale launch", "{} launches {} while in epoch {}",
               peer(id).name, describe(name), peer(id).entered.value);
  PCCL_REQUIRE(key.epoch == seen, "Stale launch", "{} launches {}, its caller has seen epoch {}",
               peer(id).name, describe(name), seen.value);
  PCCL_REQUIRE(ops_[name].launches.emplace(id, launch).second, "One launch per op",
               "{} launches {} twice", peer(id).name, describe(name));
}

void Ledger::succeeded(PeerId id, const OpKey& key, std::uint32_t world_size,
                       const std::byte* result) {
  const OpName name{peer(id).group, key};
  Op& op = ops_.at(name);
  const auto epoch = epochs_.find({name.first, key.epoch});
  PCCL_REQUIRE(epoch != epochs_.end(), "One membership per epoch", "{} has no ring",
               describe(name));
  const std::vector<PeerId>& ring = epoch->second.ring;
  PCCL_REQUIRE(op.failed.empty(), "One outcome per op", "{} succeeded at {} and failed at {}",
               describe(name), peer(id).name,
               op.failed.empty() ? "nobody" : peer(*op.failed.begin()).name);
  PCCL_REQUIRE(world_size == ring.size(), "World size", "{}: {} says {}, the ring has {}",
               describe(name), peer(id).name, world_size, ring.size());
  const OpSpec& spec = op.launches.at(id).spec;
  if (op.succeeded.empty()) {
    ++committed_;
    std::vector<std::uint32_t> amounts;
    for (const PeerId member : ring) {
      const auto launch = op.launches.find(member);
      PCCL_REQUIRE(launch != op.launches.end(), "Everybody contributes",
                   "{} succeeded although {} never launched it", describe(name), peer(member).name);
      PCCL_REQUIRE(launch->second.spec.count == spec.count && launch->second.spec.op == spec.op &&
                       launch->second.spec.type == spec.type,
                   "Descriptors agree", "{} succeeded although {} and {} describe it differently",
                   describe(name), peer(member).name, peer(id).name);
      amounts.push_back(launch->second.amount);
    }
    op.expected = result_of(spec, amounts);
  }
  op.succeeded.insert(id);
  PCCL_REQUIRE(op.expected.matches(result), "Right bits", "{} ({} x {} {}) at {}: {}",
               describe(name), spec.count, name_of(spec.type), name_of(spec.op), peer(id).name,
               op.expected.first_difference(result));
}

void Ledger::failed(PeerId id, const OpKey& key, const Outcome& outcome) {
  // Who is out of the run learns nothing any more: its op may have succeeded for the others.
  if (outcome.status != Status::peer_lost && outcome.status != Status::invalid_argument) return;
  const OpName name{peer(id).group, key};
  Op& op = ops_.at(name);
  // Who heard of a success from a master that is gone, and has gone with it, does not count.
  if (life_ > 0 && gone(op.succeeded)) op.succeeded.clear();
  PCCL_REQUIRE(op.succeeded.empty(), "One outcome per op",
               "{} succeeded at {} and failed at {}: {}", describe(name),
               op.succeeded.empty() ? "nobody" : peer(*op.succeeded.begin()).name, peer(id).name,
               outcome.why);
  op.failed.insert(id);
}

}  // namespace pccl::sim
