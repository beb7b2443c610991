// Who is in the run, and how every collective ended: the master's decisions as a pure state
// machine. Same state, same event, same instant: same effects.
//
// A peer is *pending* from its hello until an admission round takes it in, then *accepted*. The
// accepted peers of a group form a ring, and each change of the ring is a new epoch. There are two
// roads to an epoch: an *admission* (all accepted peers are in pcclUpdateTopology) is void until
// every link of the proposed ring stands; a *recovery* (a member was lost, or a path between two
// broke) is in force at once, so that survivors may launch before their links stand, and what was
// running in older epochs is void.
//
// A master that was started again knows nothing, and learns from the peers that come back what they
// know (resume.cpp).
//
// The code is cut by subject: admission.cpp (rounds and epochs), calls.cpp (unanimous calls),
// links.cpp (suspects and broken paths), operations.cpp (ops and verdicts), optimizing.cpp (paths
// measured, rings chosen), syncs.cpp (shared state), resume.cpp (after a restart); this page and
// master_machine.cpp hold the state, the dispatch, and who is alive.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "membership/master_events.hpp"
#include "membership/path_book.hpp"
#include "membership/recollection.hpp"
#include "membership/round_trips.hpp"
#include "membership/state_election.hpp"

namespace pccl::membership {

struct MasterSettings {
  Term term{1};
  Duration peer_timeout = std::chrono::seconds(3);
  bool accept_restored_state = false;  // syncs may go on from a revision that is not the next
  // From its first step on a master may meet the peers of a life before: nobody else is let into an
  // empty run for so long.
  Duration grace{0};
  std::optional<Recollection> recollection;  // of the life before
  std::function<std::uint64_t()> random;     // identities and tokens; unpredictable in production
  Duration straggler_timeout{0};  // who lives but makes no progress for so long is late; 0: nobody
  bool remove_stragglers = false;
  bool op_records = false;  // note of every op when each peer began and ended it
};

class MasterMachine {
 public:
  explicit MasterMachine(MasterSettings settings) : settings_(std::move(settings)) {}

  MasterEffects step(const MasterEvent& event, Instant now);

  // Who is accepted, if that has changed: for the next life, to be kept before the effects of the
  // step are carried out and peers learn of it.
  std::optional<Recollection> take_recollection();

  Term term() const { return settings_.term; }
  wire::RunCounts counts() const;
  // For tests and status pages: the ring in force, its epoch, and how many ops are open in it.
  struct GroupView {
    Epoch epoch;
    std::vector<PeerId> ring;
    bool linked = false;
    std::size_t open_ops = 0;
    VerdictNumber watermark;
    std::optional<Revision> next_revision;
  };
  std::map<Group, GroupView> groups() const;
  std::size_t pending_peers() const;
  bool resuming() const { return resumption_.has_value(); }  // peers of a life before are reporting

 private:
  struct Peer {
    PeerId id;
    Connection connection;
    Group group;
    Endpoint p2p, state;
    PeerId formerly;  // its name under a master that is gone
    Cohort cohort;
    bool leaves = false;  // on purpose
    bool accepted = false;
    Instant heard;
    std::optional<wire::Call> call;
    std::optional<wire::SyncOffer> offer;  // with a call to synchronise
    std::optional<wire::StateDescribed> description;
    Epoch epoch_seen;            // it is in this one, so it has every verdict of older ones
    VerdictNumber verdict_seen;  // in the group's epoch
    wire::Progress progress;     // of its oldest unfinished op, as it last told
    Instant progressed;          // when an op of it last began, went on or ended
    std::string name() const;    // peer 3f2a91bc (10.1.2.3:48150)
  };
  struct Unintroduced {
    IpAddress from;
    Instant deadline;
  };
  // An op between its first begin and its verdict.
  struct Op {
    wire::OpDescriptor descriptor;
    std::string first_to_begin;
    std::map<PeerId, std::vector<std::byte>> begun;  // with the star's inputs
    std::set<PeerId> done;
    Instant last_begun;  // or the ring was linked later
    bool late = false;   // and this has been noted
    std::string record;  // who began and ended it when
    Instant first_begun;
  };
  // A proposed ring whose links are being opened.
  struct Linking {
    Epoch epoch;
    wire::EpochReason reason;
    std::vector<PeerId> ring;
    std::set<PeerId> ready;
    Instant deadline;
  };
  // Says that no holder can be reached or trusted; they are asked whether they live.
  struct StuckFetcher {
    std::string why;
    bool distrusts = false;  // one of them has sent other bytes than were elected
    std::set<PeerId> asked;  // and have not answered
    Instant deadline{};
  };
  // A sync between the last member's offer and the result.
  struct Sync {
    // The entries differ: members are asked for theirs until then, and it starts anew.
    std::optional<Instant> describing;
    std::uint64_t described = 0;  // entries, that are alike
    Revision revision;
    Digest content;
    wire::Token token{};
    std::set<PeerId> holders, fetching;
    std::map<PeerId, StuckFetcher> stuck;  // of those who fetch
  };
  struct Suspicion {  // `from` says that the path to `to` is broken; `to` is being asked whether it
                      // lives
    PeerId from, to;
    bool outgoing;
    wire::LinkFault fault;
    Epoch epoch;  // of the report
    std::string why;
    Instant since;
    Duration silent;  // for how long `to` had not been heard then
    PathBook::Path path() const { return outgoing ? std::pair{from, to} : std::pair{to, from}; }
  };
  struct Breaks {  // of a link that stood, or whose end did not run
    int count = 0;
    Instant last;
  };
  struct Replaced {  // the ring before the newest: a report about it may have crossed the proposal
    Epoch epoch;
    std::vector<PeerId> ring;
  };
  struct Mending {  // a path of a ring that is being linked is broken: a new ring soon
    Instant begun, due;
    std::string why;
  };
  struct GroupState {
    Epoch epoch;               // in force
    Epoch newest;              // highest number ever proposed
    std::vector<PeerId> ring;  // of the epoch in force
    std::optional<Linking> linking;
    Replaced replaced;
    PathBook paths;
    RoundTrips round_trips;
    std::map<PathBook::Path, Breaks> breaks;
    std::vector<Suspicion> suspicions;
    std::optional<Mending> mending;
    const std::vector<PeerId>& newest_ring() const { return linking ? linking->ring : ring; }
    Epoch newest_epoch() const { return linking ? linking->epoch : epoch; }
    std::map<OpKey, Op> ops;
    std::deque<OpKey> mismatched;  // decided; a begin that crossed the verdict is ignored
    VerdictNumber last_verdict;
    VerdictNumber watermark_told;
    StateHistory history;
    CallRound syncs;  // that have ended
    std::optional<Sync> sync;
    std::map<PathBook::Path, plan::PathQuality> measured;
    std::vector<PeerId> better_ring;  // that an admission is to form; else empty
    Epoch best_in;               // whose ring is the best that all measurements until now allow
    Instant last_offer{};        // of a state to synchronise
    bool late_for_sync = false;  // somebody, and it has been said
  };

  // What a peer that has come back says that it knows.
  struct Report {
    std::optional<wire::ResumeEnd> end;  // the report is complete
    std::vector<wire::OpVerdict> verdicts;
    wire::CallResult answer;             // to the newest unanimous call
    wire::SyncResult sync;               // the newest of the group
    std::vector<wire::Message> pending;  // said again, or since: to be heard once all is settled
    bool knows_answer_of(CallRound round) const { return answer.round >= round; }
  };
  struct Resumption {
    Instant deadline;
    Term obeyed;  // the newest that somebody has obeyed before
    std::map<PeerId, Report> reports;
  };
  struct Settlement;  // of one group: resume.cpp

  // All accepted peers are in pcclOptimizeTopology, and it is not the turn of the new rings yet.
  struct Measurement {
    Group group;
    PathBook::Path path;
    Instant deadline{};
  };
  struct Optimization {
    std::deque<std::vector<Measurement>> rounds;  // to come
    std::map<wire::Token, Measurement> open;
    std::uint64_t question = 0;  // asked, and not answered yet; 0: there is more to measure
    std::map<Group, std::vector<PeerId>> asked_of;  // the members, as the question numbers them
  };

  // master_machine.cpp
  void on(const ConnectionOpened& event);
  void on(const FrameReceived& event);
  void on(const ConnectionClosed& event);
  void on(const TimePassed& event);
  void on(const RingsSolved& event);
  void on_frame(Peer& peer, const wire::Message& message);
  void greet(Connection connection, const wire::Message& message);
  bool may_register(Connection connection, const wire::Message& greeting);
  struct Ports {
    std::uint16_t p2p, state;
  };
  void register_peer(Connection connection, PeerId id, Group group, Ports ports);
  void refuse(Connection connection, std::string why);
  void close_overdue();
  void remove(PeerId id, const std::string& why, bool tell = true);
  void be_born();
  void wake_up();
  void wake_in_time();
  Duration heartbeat_interval() const { return settings_.peer_timeout / 6; }

  // calls.cpp
  void on_call(Peer& peer, const wire::Call& call);
  void evaluate_calls();
  void answer_all(wire::CallResult result);
  std::string who_waits_in_what() const;
  static std::string_view call_of(const Peer& peer);
  bool any_complete_op_in_flight() const;

  // admission.cpp
  void start_admission();
  std::set<PeerId> candidates() const;
  std::set<Group> send_back_incomplete_cohorts();
  void remove_broken_cohorts();
  void begin_round(std::set<PeerId> candidates, std::set<Group> affected);
  void continue_admission();
  void propose_admission(Group group);
  void recover(Group group, const std::string& why);
  void propose(Group group, std::vector<PeerId> ring, wire::EpochReason reason,
               const std::string& why);
  void on_links_ready(Peer& peer, const wire::LinksReady& ready);
  void finish_linking(Group group);
  void finish_admission();
  void forget_empty_groups();
  std::optional<std::vector<PeerId>> ring_with_candidates(Group group);
  std::vector<wire::Member> members_of(const std::vector<PeerId>& ring) const;

  // links.cpp
  void on_link_failed(Peer& peer, const wire::LinkFailed& failed);
  void resolve_suspicions(const Peer& alive);
  void break_path(Group group, const Suspicion& suspicion);
  Duration wait_for_others(const GroupState& group, const Suspicion& suspicion) const;
  void mend_rings();
  void close_overdue_linking();
  void forget_paths(Group group);
  std::optional<std::vector<PeerId>> find_ring(GroupState& group,
                                               const std::vector<PeerId>& members);
  PeerId first_to_go(const GroupState& group, std::vector<PeerId> members) const;
  Duration first_cool_down() const { return 10 * settings_.peer_timeout; }

  // optimizing.cpp
  void start_optimization();
  void plan_measurements(Group group, const GroupState& state);
  void continue_optimization();
  void start_measurement(Measurement measurement);
  void on_path_measured(const Peer& peer, const wire::PathMeasured& measured);
  void hear_of_fault(const Measurement& measurement, const wire::PathMeasured& measured);
  void close_overdue_measurements();
  void ask_for_rings();
  plan::PathQualities qualities_of(const GroupState& state) const;

  // stragglers.cpp
  void hear_progress(Peer& peer, const wire::Progress& progress);
  void judge_stragglers();
  bool judge_late(const GroupState& state, const OpKey& key, const Op& op,
                  std::vector<std::pair<PeerId, std::string>>& out);
  bool judge_late_for_sync(const GroupState& state,
                           std::vector<std::pair<PeerId, std::string>>& out);
  Duration idle(const Peer& peer, Instant since) const;
  void note_late(const std::vector<const Peer*>& late, Instant since);
  void remove_late(const GroupState& state, const std::vector<const Peer*>& late, Instant since,
                   std::vector<std::pair<PeerId, std::string>>& out) const;
  std::string last_seen(const Peer& peer) const;
  std::string progress_of(const Peer& peer, const OpKey& key, const GroupState& state) const;
  void record(Op& op, const Peer& peer, std::string_view what) const;

  // resume.cpp
  void resume_peer(Connection connection, const wire::Resume& resume, Term term);
  void dismiss(Connection connection, std::string why);
  void begin_resumption(Term last_obeyed);
  void on_report(Peer& peer, const wire::Message& message);
  void settle_when_due();
  bool everybody_is_back() const;
  bool all_of_the_newest_rings(const std::set<PeerId>& accounted_for) const;
  static Term newest_run(const Resumption& resumption);
  void settle();
  std::map<Group, Settlement> settlements(const Resumption& resumption);
  void restore(Group group, Settlement& settlement);
  void tell_known_verdicts(Settlement& settlement);
  void go_on(Group group, const Settlement& settlement);
  void tell_known_results(Resumption& resumption, const std::map<Group, Settlement>& all);
  void hear_what_waited(const Resumption& resumption, const std::map<Group, Settlement>& all);

  // operations.cpp
  void on_op_begin(Peer& peer, const wire::OpBegin& begin);
  void on_op_done(Peer& peer, const wire::OpDone& done);
  void decide(GroupState& group, const OpKey& key, wire::OpOutcome outcome, std::string why,
              std::vector<std::byte> result = {});
  void conclude_if_complete(GroupState& group, const OpKey& key);
  std::vector<std::byte> reduce_star(const GroupState& group, const Op& op) const;
  VerdictNumber watermark(const GroupState& group) const;
  wire::Heartbeat heartbeat(const GroupState& group, bool probe) const;
  void tell_watermark(GroupState& group);
  static bool is_member(const GroupState& group, PeerId peer);

  // syncs.cpp
  void on_sync_offer(Peer& peer, const wire::SyncOffer& offer);
  void ask_holders(const GroupState& state, StuckFetcher& stuck);
  void hear_of_holder(const Peer& alive);
  void judge_stuck(Group group);
  void sort_by_seniority(std::vector<StateVote>& votes) const;
  void ask_for_descriptions(GroupState& state, std::uint64_t from);
  bool difference_lies_further_on(const GroupState& state, const StateElection& election) const;
  const Peer* described_otherwise(const GroupState& state, const Peer& refused) const;
  void close_overdue_fetches();
  void on_sync_done(Peer& peer, const wire::SyncDone& done);
  void on_state_described(Peer& peer, const wire::StateDescribed& described);
  void start_complete_syncs();
  void start_sync(Group group);
  void begin_transfer(GroupState& state, const StateElection& election);
  void refuse_entries(GroupState& state, PeerId refused, std::string& why) const;
  void send_elected(const GroupState& state, const Peer& peer);
  void close_overdue_descriptions();
  void sync_goes_on_without_the_lost(GroupState& state);
  void finish_sync(GroupState& state, const Outcome& outcome);
  void answer_sync(Peer& peer, wire::SyncResult result);
  bool any_sync_running() const;

  wire::Token random_token() const;
  Peer* find(PeerId id);
  const Peer* find(PeerId id) const;
  std::vector<PeerId> accepted_peers() const;
  void send(const Peer& peer, wire::Message message);
  void close(Connection connection);
  void note(std::string text, bool detail = false) {
    effects_.push_back(Note{std::move(text), detail});
  }

  MasterSettings settings_;
  Instant now_{};
  std::optional<Instant> next_tick_;
  std::optional<Instant> woke_;  // when the master's own loop last ran again after a pause
  MasterEffects effects_;

  std::map<PeerId, Peer> peers_;
  std::map<Connection, PeerId> by_connection_;
  std::map<Connection, Unintroduced> unintroduced_;
  std::map<Group, GroupState> groups_;
  Epoch forgotten_;  // the highest of groups that have emptied: their numbers are not used again
  CallRound round_;  // unanimous calls that have been answered
  Term run_;         // of the master that began the run
  std::optional<Instant> opens_;  // to newcomers
  std::optional<Resumption> resumption_;
  bool resumed_ = false;                                 // it is over: who comes back now is late
  bool to_remember_ = false;                             // who is accepted has changed
  std::deque<std::pair<PeerId, std::string>> removed_;   // lately, and why
  std::map<std::uint64_t, std::string> broken_cohorts_;  // in this step: who was lost, and why
  bool someone_left_ = false;
  std::optional<std::set<PeerId>> admission_;  // a round is on: its candidates
  std::set<Group> admission_groups_;           // with a proposal in this round
  bool assembling_ = false;                    // the round's proposals are not all made yet
  std::optional<Optimization> optimization_;
  std::uint64_t questions_ = 0;  // asked about rings
};

}  // namespace pccl::membership
