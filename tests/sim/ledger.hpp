// The promises of design.md section 1 as bookkeeping: everybody reports what happens, and the first
// contradiction ends the run. It knows nothing of how peers and master come to do what they do.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/status.hpp"
#include "sim/values.hpp"
#include "sim/violation.hpp"
#include "wire/messages.hpp"

namespace pccl::sim {

class Ledger {
 public:
  // ---- the master's messages, as they are sent
  void registered(PeerId peer, Group group, const std::string& name);
  void removed(PeerId peer);
  void proposed(PeerId to, const wire::EpochProposed& proposal);
  void links_ready(PeerId from, Epoch epoch);  // as the master hears it
  void installed(PeerId to, const wire::EpochInstalled& installed);
  void decided(PeerId to, const wire::OpVerdict& verdict);
  void called(PeerId from);
  void answered(PeerId to, const wire::CallResult& result);
  void offered(PeerId from);
  void sync_ended(PeerId to, const wire::SyncResult& result);
  void history_begins_anew() { contents_.clear(); }  // as the master was told to allow
  void watermark(PeerId to, const wire::Heartbeat& beat);
  void master_died();
  // Another life of it has a run. What the one before said and no member has heard was never said.
  void master_took_over();
  // After each step of the master: its counts are those of the peers it has accepted.
  void master_stepped(const wire::RunCounts& counts);

  // ---- the peers
  void entered(PeerId peer, Epoch epoch, const std::vector<wire::Member>& ring);
  void saw_verdict(PeerId peer, const wire::OpVerdict& verdict);
  void saw_round(PeerId peer, CallRound round);
  // What a peer keeps holds every verdict that it has and some member does not.
  template <typename Kept>
  void check_kept(PeerId peer, const Kept& kept) const;

  // ---- the applications
  struct Launch {
    int slot;
    OpSpec spec;
    std::uint32_t amount;
  };
  void launched(PeerId peer, const OpKey& key, Epoch seen, const Launch& launch);
  void succeeded(PeerId peer, const OpKey& key, std::uint32_t world_size, const std::byte* result);
  void failed(PeerId peer, const OpKey& key, const Outcome& outcome);

  // One content for each revision of a group, as long as somebody of it lives.
  void synced(PeerId peer, Revision revision, const Digest& content);

  bool accepted(PeerId peer) const;
  std::size_t accepted_in(Group group) const;
  std::vector<PeerId> accepted_peers() const;
  std::size_t ops_launched() const { return ops_.size(); }
  std::size_t ops_committed() const { return committed_; }
  std::size_t syncs() const { return syncs_; }
  std::size_t epochs() const { return epochs_.size(); }
  const std::vector<PeerId>* ring(Group group, Epoch epoch) const;

 private:
  struct Peer {
    Group group;
    std::string name;
    bool accepted = false, removed = false, in_call = false, offering = false;
    unsigned removed_in_life = 0;
    Epoch proposed, installed, entered;
    std::pair<Epoch, VerdictNumber> last_verdict, last_seen_verdict;  // sent to it; come
    CallRound last_round;                                             // sent to it
  };
  struct Membership {
    std::vector<PeerId> ring;
    wire::EpochReason reason;
    wire::Token token;
    std::set<PeerId> ready;
  };
  struct Verdict {
    OpKey op;
    wire::OpOutcome outcome;
    std::set<PeerId> had_by;
    unsigned life = 0;  // of the master
  };
  struct Round {
    wire::CallResult result;
    std::set<PeerId> had_by;
    unsigned life = 0;
  };
  struct Op {
    std::map<PeerId, Launch> launches;
    std::set<PeerId> succeeded, failed;
    Snapshot expected;
  };
  using EpochName = std::pair<Group, Epoch>;
  using VerdictName = std::pair<EpochName, VerdictNumber>;
  using OpName = std::pair<Group, OpKey>;

  Peer& peer(PeerId id);
  const Peer& peer(PeerId id) const;
  bool everybody_has(const VerdictName& name, const Verdict& verdict) const;
  void name_run(const std::vector<PeerId>& ring);
  bool gone(const std::set<PeerId>& peers) const;  // all of them
  void forget_what_only_the_gone_knew();
  void forget_revisions_of_the_gone();
  std::string describe(const OpName& op) const;

  std::map<PeerId, Peer> peers_;
  std::map<EpochName, Membership> epochs_;
  std::map<VerdictName, Verdict> verdicts_;
  std::map<VerdictName, Verdict> open_verdicts_;  // not yet had by all
  std::map<OpName, Op> ops_;
  std::map<CallRound, Round> rounds_;
  struct Content {
    Digest digest;
    std::set<PeerId> had_by;
  };
  std::map<Group, std::map<Revision, Content>> contents_;
  struct SyncRound {
    unsigned life = 0;  // of the master, from 1
    Revision revision;
    Digest content;
  };
  std::map<std::pair<Group, CallRound>, SyncRound> sync_rounds_;
  std::map<Group, std::vector<std::pair<PeerId, wire::SyncResult>>> sync_results_;  // of this step
  unsigned life_ = 0, took_over_in_life_ = 0;
  std::size_t committed_ = 0, syncs_ = 0;
  std::vector<std::pair<PeerId, wire::CallResult>> answers_;  // of this step of the master
  std::size_t newly_accepted_ = 0, removals_ = 0;             // in this step
};

template <typename Kept>
void Ledger::check_kept(PeerId id, const Kept& kept) const {
  const Peer& who = peer(id);
  if (who.removed) return;
  for (const auto& [name, verdict] : open_verdicts_) {
    if (name.first.first != who.group || !verdict.had_by.contains(id)) continue;
    if (kept.contains({name.first.second, name.second})) continue;
    PCCL_REQUIRE(everybody_has(name, verdict), "Kept verdicts",
                 "{} has forgotten verdict {} of epoch {}, which some member does not have yet",
                 who.name, name.second.value, name.first.second.value);
  }
}

}  // namespace pccl::sim
