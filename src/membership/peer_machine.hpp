// A peer's side of the protocol as a pure state machine: it obeys the master, keeps what the caller
// has seen of the membership apart from what is newest, and ends every op and call of the
// application exactly once.
//
// A launch carries the epoch that its caller has *seen*; pcclConnect, pcclUpdateTopology and the
// await of a failed op refresh it. A launch under an epoch that is no longer in force fails, so a
// launch under one (epoch, tag) fails on all members or on none.
//
// A peer that loses its master stays what it is and looks for it until the master timeout has
// passed (peer_resume.cpp): data goes on moving, ops and calls wait.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "membership/peer_events.hpp"

namespace pccl::membership {

struct PeerSettings {
  Group group;
  Cohort cohort;
  Duration master_timeout = std::chrono::seconds(60);
};

class PeerMachine {
 public:
  explicit PeerMachine(PeerSettings settings) : settings_(settings) {}

  PeerEffects step(const PeerEvent& event, Instant now);

  enum class Standing : std::uint8_t { unconnected, greeting, pending, accepted, gone };
  Standing standing() const { return standing_; }
  const Outcome& gone() const { return gone_; }  // why, once standing is gone
  Outcome unusable() const;                      // for the calls that come later
  PeerId self() const { return self_; }
  Term term() const { return term_; }

  struct Seen {  // by the caller
    Epoch epoch;
    std::uint32_t group_world_size = 0;
    wire::RunCounts counts;
  };
  const Seen& seen() const { return seen_; }
  Epoch epoch() const { return ring_.epoch; }
  const std::vector<wire::Member>& ring() const { return ring_.members; }
  Duration ring_rtt() const { return ring_.rtt; }
  bool in_call() const { return call_.has_value(); }
  std::size_t ops_in_flight() const { return ops_.size(); }
  const std::map<std::pair<Epoch, VerdictNumber>, wire::OpVerdict>& kept_verdicts() const {
    return kept_;
  }

  // The op of a launch that has not ended.
  std::optional<OpKey> key_of(OpHandle handle) const;
  bool master_is_away() const { return away_.has_value(); }

  // Why a launch would fail at once; ok otherwise. The caller's world is the one it has seen.
  // `held_back`: how many launches the caller has been promised beside those made here.
  Outcome may_launch(std::size_t held_back = 0) const;

 private:
  struct Ring {
    Epoch epoch;
    std::vector<wire::Member> members;
    wire::RunCounts counts;
    std::string why;  // it replaced the one before
    Duration rtt{0};  // the longest between neighbours: what the master says, so all say the same
  };
  struct Op {
    OpHandle handle;
    std::uint32_t world_size = 0;
    bool moves_data = false;
    bool finished = false;  // with its data
    wire::OpDescriptor descriptor;
    std::vector<std::byte> input;  // star only; the result of a commit is as long
  };
  // No master knows this peer at present.
  struct Away {
    Instant since;
    std::string why;  // as the last attempt to reach it ended
    std::uint32_t dials = 0;
    bool resuming = false;  // reached again, and told who this is
  };

  wire::Hello hello() const;

  // peer_machine.cpp
  void on(const ConnectRequested& event);
  void on(const MasterReached&);
  void on(const MasterFrame& event);
  void on(const MasterGone& event);
  void on(const ConnectGivenUp& event);
  void on(const LeaveRequested& leave);
  void on(const CallRequested& event);
  void on(const LinksStand& event);
  void on(const LinkBroken& event);
  void on(const PeerTimePassed&);
  void on_message(const wire::Message& message);
  void on_proposed(const wire::EpochProposed& proposed);
  void on_installed(const wire::EpochInstalled& installed);
  void on_call_result(const wire::CallResult& result);
  void on_heartbeat(const wire::Heartbeat& beat);
  void enter(Ring ring);
  void relink(const Ring& ring, const wire::Token& token);
  void keep_links_of(const Ring& ring);
  void leave(Status status, const std::string& why);
  void obey(Term term, const wire::Welcome& welcome);
  void see_newest();
  std::size_t rank_in(const Ring& ring) const;
  wire::Heartbeat heartbeat(bool probe) const;
  wire::LinksReady links_ready() const;

  // peer_syncs.cpp
  void on(const SyncRequested& event);
  void on(const StateFetched& event);
  void on_sync_elected(const wire::SyncElected& elected);
  void on_state_wanted(const wire::StateWanted& wanted);
  void on_sync_result(const wire::SyncResult& result);
  wire::SyncOffer offer_again();
  std::optional<Outcome> may_not_call() const;
  // peer_paths.cpp
  void on(const PathJudged& event);
  void on_path_wanted(const wire::PathWanted& wanted);
  void stop_measuring();
  // peer_resume.cpp
  void lose_master(const std::string& why);
  void introduce_again();
  void on_answer(const wire::Frame& frame);
  void report();
  std::vector<wire::OpVerdict> verdicts_to_report() const;
  bool gave_up_on_master(bool overslept);

  // peer_ops.cpp
  void on(const LaunchRequested& event);
  void on(const OpFinished& event);
  void on(const FailureSeen&);
  void on_verdict(const wire::OpVerdict& verdict);
  bool may_be_committed(const wire::OpVerdict& verdict) const;
  void end_op(std::map<OpKey, Op>::iterator op, Outcome outcome,
              std::vector<std::byte> result = {});
  void end_all_ops(Status status, const std::string& why);
  void forget_verdicts(Epoch epoch, VerdictNumber watermark);

  // While the master is away nothing is said to it: it will hear all of it in the report.
  void send(wire::Message message) {
    if (!away_) effects_.push_back(SendToMaster{term_, std::move(message)});
  }

  PeerSettings settings_;
  Instant now_{};
  PeerEffects effects_;

  Standing standing_ = Standing::unconnected;
  Outcome gone_;
  std::uint16_t p2p_port_ = 0, state_port_ = 0;
  Term term_;
  PeerId self_;
  Duration heartbeat_interval_ = std::chrono::milliseconds(500);
  Instant heard_{};
  std::optional<Instant> next_tick_;

  Ring ring_;                     // in force
  std::optional<Ring> proposed_;  // an admission, void until installed
  Seen seen_;
  Term run_;
  CallId next_call_{1};
  std::optional<wire::Call> call_;
  struct Sync {
    wire::SyncOffer offer;
    std::optional<wire::SyncElected> elected;
    bool holds_elected = false;
  };
  std::optional<Sync> sync_;      // of a call to synchronise
  wire::SyncResult sync_result_;  // the newest that this peer knows of
  wire::CallResult answer_;       // the newest that this peer knows of

  std::map<bool, wire::Token> measuring_;  // outgoing or not: the newest measurement

  std::optional<Away> away_;
  std::optional<LinksStand> standing_links_;       // both, of the newest ring
  std::map<bool, wire::LinkFailed> failed_links_;  // outgoing or not, of the newest ring

  std::map<OpKey, Op> ops_;                                          // launched, no verdict yet
  std::unordered_map<Tag, Launch> next_launch_;                      // in ring_.epoch
  std::map<OpKey, wire::OpVerdict> early_;                           // of ops not launched here yet
  std::map<std::pair<Epoch, VerdictNumber>, wire::OpVerdict> kept_;  // until all members have them
  VerdictNumber newest_verdict_;                                     // in ring_.epoch
  std::uint32_t unreported_verdicts_ = 0;
};

}  // namespace pccl::membership
