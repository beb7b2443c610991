// Every control message, declared once: codec, dispatch, fuzz target and docs/protocol.md walk this
// list. A frame is `length u32 | kind u8 | term u64 | payload`, little-endian (framing.hpp); the
// payload is the message's fields in the order of its tuple (codec.hpp).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

#include "base/algorithm.hpp"
#include "base/digest.hpp"
#include "base/dtype.hpp"
#include "base/endpoint.hpp"
#include "base/ids.hpp"
#include "base/quantization.hpp"
#include "base/status.hpp"
#include "base/sync_strategy.hpp"
#include "base/time.hpp"

namespace pccl::wire {

using pccl::Algorithm;

inline constexpr std::uint32_t magic = 0x4c434350;  // "PCCL"
inline constexpr std::uint16_t protocol_version = 8;

enum class Kind : std::uint8_t {
  hello = 1,
  welcome = 2,
  refused = 3,
  heartbeat = 4,
  call = 5,
  call_result = 6,
  epoch_proposed = 7,
  links_ready = 8,
  link_failed = 9,
  epoch_installed = 10,
  op_begin = 11,
  op_done = 12,
  op_verdict = 13,
  removed = 14,
  leave = 15,
  lane_hello = 16,
  lane_welcome = 17,
  sync_offer = 18,
  sync_elected = 19,
  sync_done = 20,
  sync_result = 21,
  state_wanted = 22,
  state_described = 23,
  holder_hello = 24,
  resume = 25,
  resume_end = 26,
  path_wanted = 27,
  path_measured = 28,
  path_hello = 29,
};

// Sizes of the run as the master counts them: accepted peers only.
struct RunCounts {
  std::uint32_t global_world_size = 0;
  std::uint32_t distinct_groups = 0;
  std::uint32_t largest_group_world_size = 0;
  static constexpr auto fields =
      std::tuple{&RunCounts::global_world_size, &RunCounts::distinct_groups,
                 &RunCounts::largest_group_world_size};
  bool operator==(const RunCounts&) const = default;
};

struct Member {
  PeerId peer;
  Endpoint p2p;  // where its ring predecessor dials it
  static constexpr auto fields = std::tuple{&Member::peer, &Member::p2p};
  bool operator==(const Member&) const = default;
};

using Token = std::array<std::uint8_t, 16>;

// peer → master, first frame: let me in.
struct Hello {
  static constexpr Kind kind = Kind::hello;
  std::uint32_t magic = wire::magic;
  std::uint16_t version = protocol_version;
  Group group;
  std::uint16_t p2p_port = 0;
  std::uint16_t state_port = 0;  // where others fetch the shared state
  PeerId formerly;  // how a master that is gone has called this peer, which was not accepted yet
  std::uint64_t cohort = 0;  // is admitted with so many others that name the same one; 0: none
  std::uint32_t cohort_size = 1;
  static constexpr auto fields =
      std::tuple{&Hello::magic,      &Hello::version,  &Hello::group,  &Hello::p2p_port,
                 &Hello::state_port, &Hello::formerly, &Hello::cohort, &Hello::cohort_size};
};

// master → peer: you are registered, and pending until the accepted peers admit you; or, in answer
// to a resume: say what you know.
struct Welcome {
  static constexpr Kind kind = Kind::welcome;
  PeerId peer;
  std::uint32_t peer_timeout_ms = 0;  // the master's; both sides send a heartbeat six times in it
  static constexpr auto fields = std::tuple{&Welcome::peer, &Welcome::peer_timeout_ms};
};

// Either side of a handshake: no, and why. The connection closes after it.
struct Refused {
  static constexpr Kind kind = Kind::refused;
  std::string why;
  static constexpr auto fields = std::tuple{&Refused::why};
};

// How far a peer is in its oldest unfinished op; an op of epoch 0: it is in none that it could tell
// of.
struct Progress {
  OpKey op;
  std::uint16_t per_mille = 0;
  static constexpr auto fields = std::tuple{&Progress::op, &Progress::per_mille};
  bool operator==(const Progress&) const = default;
};

// Both ways: I am alive. A peer reports the newest verdict it has; the master says which verdicts
// all members have, so that peers may forget them.
struct Heartbeat {
  static constexpr Kind kind = Kind::heartbeat;
  bool probe = false;  // the master checks a suspect; the answer, sent at once, has it set, too
  // peer: its epoch and the newest verdict it has of that; master: the watermark, all members have
  // every verdict of older epochs and those of this one up to the number
  Epoch epoch;
  VerdictNumber verdict;
  Progress progress{};  // peer only
  static constexpr auto fields =
      std::tuple{&Heartbeat::probe, &Heartbeat::epoch, &Heartbeat::verdict, &Heartbeat::progress};
};

enum class CallKind : std::uint8_t {
  update_topology = 0,
  peers_pending = 1,
  synchronize = 2,  // never in a call message: a sync_offer is the call
  optimize_topology = 3,
};
inline constexpr std::uint8_t call_kind_count = 4;

// peer → master: the application has entered a unanimous call.
struct Call {
  static constexpr Kind kind = Kind::call;
  CallId call;
  CallKind what = CallKind::update_topology;
  static constexpr auto fields = std::tuple{&Call::call, &Call::what};
};

// master → peer: all have called and this is the outcome, the same for everyone.
struct CallResult {
  static constexpr Kind kind = Kind::call_result;
  CallId call;
  CallRound round;  // the same at everyone
  Status status = Status::ok;
  bool peers_pending = false;  // the answer of CallKind::peers_pending
  RunCounts counts;
  std::string why;
  static constexpr auto fields =
      std::tuple{&CallResult::call,          &CallResult::round,  &CallResult::status,
                 &CallResult::peers_pending, &CallResult::counts, &CallResult::why};
};

enum class EpochReason : std::uint8_t {
  admission = 0,  // void until installed: a candidate may still drop out
  recovery =
      1,  // a member was lost or a path broke: ops of older epochs are void, launches may start
};
inline constexpr std::uint8_t epoch_reason_count = 2;

// master → members and candidates of a group: this ring, once every link of it stands.
struct EpochProposed {
  static constexpr Kind kind = Kind::epoch_proposed;
  Epoch epoch;
  EpochReason reason = EpochReason::admission;
  Token token{};             // opens the p2p doors of this epoch
  std::vector<Member> ring;  // rank order; each member dials the one after it
  RunCounts counts;
  std::string why;
  std::uint32_t rtt_us = 0;  // of a recovery: as in an installation, as far as it is known
  static constexpr auto fields = std::tuple{
      &EpochProposed::epoch,  &EpochProposed::reason, &EpochProposed::token, &EpochProposed::ring,
      &EpochProposed::counts, &EpochProposed::why,    &EpochProposed::rtt_us};
};

// peer → master: my links of this epoch, to the next and from the previous rank, stand.
struct LinksReady {
  static constexpr Kind kind = Kind::links_ready;
  Epoch epoch;
  std::uint32_t rtt_us = 0;  // to the next rank and back, µs
  static constexpr auto fields = std::tuple{&LinksReady::epoch, &LinksReady::rtt_us};
};

enum class LinkFault : std::uint8_t {
  not_opened = 0,  // dialling failed with an error or a refusal
  broke = 1,       // it stood, and an error ended it
  unanswered = 2,  // it stands, but pings get no answer
  unreached = 3,   // nobody answered the dialling
};
inline constexpr std::uint8_t link_fault_count = 4;

// peer → master: the link with `peer` could not be opened, or broke, or does not answer.
struct LinkFailed {
  static constexpr Kind kind = Kind::link_failed;
  Epoch epoch;
  PeerId peer;
  bool outgoing = false;  // I dial it: it is the next rank; else it is the previous one
  LinkFault fault = LinkFault::not_opened;
  std::string why;
  static constexpr auto fields =
      std::tuple{&LinkFailed::epoch, &LinkFailed::peer, &LinkFailed::outgoing, &LinkFailed::fault,
                 &LinkFailed::why};
};

// master → members: all links of the proposal stand.
struct EpochInstalled {
  static constexpr Kind kind = Kind::epoch_installed;
  Epoch epoch;
  RunCounts counts;
  CallRound round;  // of an admission: the calls of update_topology that it answers; else 0
  Term run;         // of the master that began the run
  CallRound syncs;  // of the group, so far
  // Of an admission: the longest round trip between neighbours of the ring, µs. How an op is cut
  // into segments follows from it, so all members take it from here.
  std::uint32_t rtt_us = 0;
  static constexpr auto fields =
      std::tuple{&EpochInstalled::epoch, &EpochInstalled::counts, &EpochInstalled::round,
                 &EpochInstalled::run,   &EpochInstalled::syncs,  &EpochInstalled::rtt_us};
};

// What all members must agree on.
struct OpDescriptor {
  std::uint64_t count = 0;
  DataType type = DataType::float32;
  RedOp op = RedOp::sum;
  Algorithm algorithm = Algorithm::ring;
  QuantizationAlgorithm quantization = QuantizationAlgorithm::none;
  Code code = Code::uint8;  // when quantized
  static constexpr auto fields =
      std::tuple{&OpDescriptor::count,     &OpDescriptor::type,         &OpDescriptor::op,
                 &OpDescriptor::algorithm, &OpDescriptor::quantization, &OpDescriptor::code};
  bool operator==(const OpDescriptor&) const = default;
};

// peer → master: I have launched this op. Nobody waits for an answer.
struct OpBegin {
  static constexpr Kind kind = Kind::op_begin;
  OpKey op;
  OpDescriptor descriptor;
  std::vector<std::byte> input;  // star only: my elements
  static constexpr auto fields = std::tuple{&OpBegin::op, &OpBegin::descriptor, &OpBegin::input};
};

// peer → master: I hold the whole result.
struct OpDone {
  static constexpr Kind kind = Kind::op_done;
  OpKey op;
  static constexpr auto fields = std::tuple{&OpDone::op};
};

enum class OpOutcome : std::uint8_t {
  committed = 0,   // every member holds the result
  aborted = 1,     // void for all: call again
  mismatched = 2,  // void for all: the descriptors differ
};
inline constexpr std::uint8_t op_outcome_count = 3;

// master → members: how the op ended, decided once.
struct OpVerdict {
  static constexpr Kind kind = Kind::op_verdict;
  OpKey op;
  VerdictNumber number;  // counts the verdicts of the epoch
  OpOutcome outcome = OpOutcome::aborted;
  std::vector<std::byte> result;  // star only
  std::string why;
  static constexpr auto fields = std::tuple{&OpVerdict::op, &OpVerdict::number, &OpVerdict::outcome,
                                            &OpVerdict::result, &OpVerdict::why};
};

// ---- the topology

// master → peers at both ends of a path, in a call to optimise the topology: measure it.
struct PathWanted {
  static constexpr Kind kind = Kind::path_wanted;
  CallId call;
  Token token{};          // names this measurement, and opens the door for it
  bool outgoing = false;  // you send to `other`; else it sends to you
  Member other;
  static constexpr auto fields =
      std::tuple{&PathWanted::call, &PathWanted::token, &PathWanted::outgoing, &PathWanted::other};
};

// peer → master: what has come of it. Who receives measures; who sends may say that it could not.
struct PathMeasured {
  static constexpr Kind kind = Kind::path_measured;
  Token token{};
  std::uint64_t bits_per_s = 0;  // 0: it could not be measured, and this is why:
  std::uint32_t round_trip_us = 0;
  LinkFault fault = LinkFault::not_opened;
  std::string why;
  static constexpr auto fields =
      std::tuple{&PathMeasured::token, &PathMeasured::bits_per_s, &PathMeasured::round_trip_us,
                 &PathMeasured::fault, &PathMeasured::why};
};

// peer → who receives on a path that is to be measured, first frame at its p2p door; answered by a
// lane_welcome or refused. The bulk frames of bulk.hpp follow.
struct PathHello {
  static constexpr Kind kind = Kind::path_hello;
  std::uint32_t magic = wire::magic;
  std::uint16_t version = protocol_version;
  Token token{};
  PeerId from;
  std::uint16_t lane = 0;
  std::uint16_t lanes = 1;
  static constexpr auto fields =
      std::tuple{&PathHello::magic, &PathHello::version, &PathHello::token,
                 &PathHello::from,  &PathHello::lane,    &PathHello::lanes};
};

// ----

// master → peer: you are out, and why. The connection closes after it.
struct Removed {
  static constexpr Kind kind = Kind::removed;
  std::string why;
  static constexpr auto fields = std::tuple{&Removed::why};
};

// peer → master: I leave on purpose.
struct Leave {
  static constexpr Kind kind = Kind::leave;
  static constexpr auto fields = std::tuple{};
};

// peer → master, the first frame to one that was started again, with the last term that the peer
// obeyed in its header: I am a member. After the welcome the peer says all it knows once more in
// the usual messages (op_verdict, call_result; op_begin, op_done, call, links_ready, link_failed)
// and ends with a resume_end.
struct Resume {
  static constexpr Kind kind = Kind::resume;
  std::uint32_t magic = wire::magic;
  std::uint16_t version = protocol_version;
  Group group;
  PeerId peer;
  std::uint16_t p2p_port = 0;
  std::uint16_t state_port = 0;
  static constexpr auto fields = std::tuple{&Resume::magic, &Resume::version,  &Resume::group,
                                            &Resume::peer,  &Resume::p2p_port, &Resume::state_port};
};

// peer → master: that was all I know; this is the ring that I am in.
struct ResumeEnd {
  static constexpr Kind kind = Kind::resume_end;
  Term run;               // of the master that began the run
  Epoch epoch;            // in force here
  VerdictNumber verdict;  // the newest of it
  std::vector<Member> ring;
  Epoch proposed;  // an admission that I have heard of and that is not in force; else 0
  std::vector<Member> candidates;  // who is in that one, and not in my ring
  RunCounts counts;
  static constexpr auto fields = std::tuple{
      &ResumeEnd::run,      &ResumeEnd::epoch,      &ResumeEnd::verdict, &ResumeEnd::ring,
      &ResumeEnd::proposed, &ResumeEnd::candidates, &ResumeEnd::counts};
};

// peer → next rank, first frame of a lane; the bulk frames of bulk.hpp follow the welcome.
struct LaneHello {
  static constexpr Kind kind = Kind::lane_hello;
  std::uint32_t magic = wire::magic;
  std::uint16_t version = protocol_version;
  Epoch epoch;
  Token token{};
  PeerId from;
  std::uint16_t lane = 0;
  std::uint16_t lanes = 1;
  static constexpr auto fields =
      std::tuple{&LaneHello::magic, &LaneHello::version, &LaneHello::epoch, &LaneHello::token,
                 &LaneHello::from,  &LaneHello::lane,    &LaneHello::lanes};
};

// next rank → peer: the lane is open.
struct LaneWelcome {
  static constexpr Kind kind = Kind::lane_welcome;
  static constexpr auto fields = std::tuple{};
};

// ---- shared state

// peer → master: the application is in pcclSynchronizeSharedState with this. It is a unanimous call
// of the group, and this peer's vote in the election of the content.
struct SyncOffer {
  static constexpr Kind kind = Kind::sync_offer;
  CallId call;
  SyncStrategy strategy = SyncStrategy::enforce_popular;
  Revision revision;
  Digest keys;        // of the names, types and sizes of the entries
  Digest content;     // of the bytes of all entries that must be equal
  bool whole = true;  // false: a sync that broke off has left it a mixture, which nobody may elect
  bool elected = false;  // in this call, by a master that was restarted since
  static constexpr auto fields =
      std::tuple{&SyncOffer::call,    &SyncOffer::strategy, &SyncOffer::revision, &SyncOffer::keys,
                 &SyncOffer::content, &SyncOffer::whole,    &SyncOffer::elected};
};

struct StateHolder {
  PeerId peer;
  Endpoint state;  // where it serves the shared state
  static constexpr auto fields = std::tuple{&StateHolder::peer, &StateHolder::state};
  bool operator==(const StateHolder&) const = default;
};

// master → members: this content was elected. Members without it fetch it; sent again, to them,
// when the holders change.
struct SyncElected {
  static constexpr Kind kind = Kind::sync_elected;
  CallId call;
  Revision revision;
  Digest content;
  Token token{};                     // opens the doors of the holders
  std::vector<StateHolder> holders;  // at most so many as anybody needs
  static constexpr auto fields =
      std::tuple{&SyncElected::call, &SyncElected::revision, &SyncElected::content,
                 &SyncElected::token, &SyncElected::holders};
};

// peer → master: I hold the elected content, every block verified; or I cannot get it, or, of a
// holder, no longer serve it.
struct SyncDone {
  static constexpr Kind kind = Kind::sync_done;
  CallId call;
  Token token{};  // of the election
  // peer_lost: no holder can be reached; invalid_usage: one has sent other bytes than were elected;
  // internal: this peer itself cannot go on.
  Status status = Status::ok;
  std::string why;
  static constexpr auto fields =
      std::tuple{&SyncDone::call, &SyncDone::token, &SyncDone::status, &SyncDone::why};
};

// master → members: how the sync ended, the same for everyone. peer → restarted master: the newest
// that it knows of.
struct SyncResult {
  static constexpr Kind kind = Kind::sync_result;
  CallId call;
  CallRound round;  // the syncs of the group in the order of their results
  Status status = Status::ok;
  bool synchronised = false;  // ever; then
  Revision revision;          // of the last sync that ended well, this one included,
  Digest content;             // and this is what it elected
  std::string why;
  static constexpr auto fields = std::tuple{
      &SyncResult::call,     &SyncResult::round,   &SyncResult::status, &SyncResult::synchronised,
      &SyncResult::revision, &SyncResult::content, &SyncResult::why};
};

// master → members: your states differ in more than their bytes; what are they made of?
struct StateWanted {
  static constexpr Kind kind = Kind::state_wanted;
  CallId call;
  std::uint64_t from = 0;  // entry
  static constexpr auto fields = std::tuple{&StateWanted::call, &StateWanted::from};
};

struct StateEntry {
  std::string name;
  DataType type = DataType::uint8;
  std::uint64_t count = 0;
  bool may_differ = false;  // neither compared nor sent
  static constexpr auto fields =
      std::tuple{&StateEntry::name, &StateEntry::type, &StateEntry::count, &StateEntry::may_differ};
  bool operator==(const StateEntry&) const = default;
};

// peer → master: of this. Only so that an error can name the first difference.
struct StateDescribed {
  static constexpr Kind kind = Kind::state_described;
  CallId call;
  std::uint64_t total = 0;          // entries; of which
  std::uint64_t from = 0;           // from this one on
  std::vector<StateEntry> entries;  // as many as fit
  static constexpr auto fields = std::tuple{&StateDescribed::call, &StateDescribed::total,
                                            &StateDescribed::from, &StateDescribed::entries};
};

// peer → holder, first frame at its door; answered by a lane_welcome or refused. The bulk frames of
// bulk.hpp follow.
struct HolderHello {
  static constexpr Kind kind = Kind::holder_hello;
  std::uint32_t magic = wire::magic;
  std::uint16_t version = protocol_version;
  Token token{};
  PeerId from;
  static constexpr auto fields = std::tuple{&HolderHello::magic, &HolderHello::version,
                                            &HolderHello::token, &HolderHello::from};
};

using Message = std::variant<Hello, Welcome, Refused, Heartbeat, Call, CallResult, EpochProposed,
                             LinksReady, LinkFailed, EpochInstalled, OpBegin, OpDone, OpVerdict,
                             Removed, Leave, LaneHello, LaneWelcome, SyncOffer, SyncElected,
                             SyncDone, SyncResult, StateWanted, StateDescribed, HolderHello, Resume,
                             ResumeEnd, PathWanted, PathMeasured, PathHello>;

std::uint32_t microseconds(Duration duration);  // at most the largest that fits
std::string_view name_of(Kind kind);
Kind kind_of(const Message& message);
std::string describe(const OpDescriptor& descriptor);  // 1024 x float32 sum (ring)

}  // namespace pccl::wire
