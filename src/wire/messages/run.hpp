// A peer and its master: into the run and out of it, alive in it, and calls that all make.
#pragma once

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "base/ids.hpp"
#include "base/status.hpp"
#include "wire/messages/common.hpp"

namespace pccl::wire {

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

}  // namespace pccl::wire
