// What a peer's machine hears, and what it wants done.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.hpp"
#include "base/status.hpp"
#include "base/time.hpp"
#include "wire/framing.hpp"

namespace pccl::membership {

// The caller's name of an op between its launch and its end; not reused.
using OpHandle = StrongId<struct OpHandlePurpose>;

struct ConnectRequested {              // the application is in pcclConnect
  std::uint16_t p2p_port, state_port;  // where other peers reach this one
};
struct MasterReached {};  // the connection to the master stands
struct MasterFrame {
  wire::Frame frame;
};
struct MasterGone {  // it could not be reached, or the connection ended
  std::string why;
};
struct ConnectGivenUp {  // the limit of the wait for admission has passed
  std::string why;
};
struct LeaveRequested {  // the application destroys the communicator, or cannot go on
  std::string why = "the communicator is being destroyed";
  bool on_purpose = true;  // no: it counts as lost, and so does its cohort
};
struct CallRequested {
  wire::CallKind what;
};
struct SyncRequested {
  wire::SyncOffer offer;  // all but the number of the call
};
struct StateFetched {  // the data path holds the elected content, or cannot get or serve it
  CallId call;
  Outcome outcome;
};
struct LaunchRequested {
  OpHandle handle;
  Tag tag;
  wire::OpDescriptor descriptor;
  std::vector<std::byte> input;  // star only
};
struct OpFinished {  // the data path holds the whole result
  OpKey op;
};
struct LinksStand {  // to the next and from the previous rank of this epoch
  Epoch epoch;
  Duration rtt{0};  // to the next rank and back
};
struct LinkBroken {
  Epoch epoch;
  bool outgoing;
  wire::LinkFault fault;
  std::string why;
};
struct PathJudged {  // a path that this peer was told to measure, or to send on
  wire::PathMeasured measured;
};
struct FailureSeen {};  // an await has returned a failure: the caller now knows of the newest epoch
struct PeerTimePassed {};

using PeerEvent =
    std::variant<ConnectRequested, MasterReached, MasterFrame, MasterGone, ConnectGivenUp,
                 LeaveRequested, CallRequested, SyncRequested, StateFetched, LaunchRequested,
                 OpFinished, LinksStand, LinkBroken, PathJudged, FailureSeen, PeerTimePassed>;

struct SendToMaster {
  Term term;
  wire::Message message;
};
struct CloseMaster {};
// Drop the connection to the master, if there is one, and dial again after the pause; then report
// MasterReached or MasterGone.
struct RedialMaster {
  Duration pause;
};
// Open, or keep, the link to `next` and expect the one from `previous`; then report LinksStand or
// LinkBroken.
struct Relink {
  Epoch epoch;
  wire::Token token;
  PeerId self;
  wire::Member next;
  PeerId previous;
};
// Links to and from anybody but these two are closed; nobody for a ring of one.
struct KeepLinks {
  PeerId next, previous;
};
struct EnterEpoch {  // the data path drops what is older
  Epoch epoch;
};
struct StartRing {
  OpHandle handle;
  OpKey op;
  std::uint32_t rank, world;
  Duration rtt;  // the longest between neighbours of the ring, the same at all of them
};
struct PassOver {  // the op moves no data between peers, or is over: drop its frames
  OpKey op;
};
struct CancelRing {
  OpKey op;
};
struct CompleteOp {
  OpHandle handle;
  Outcome outcome;
  std::uint32_t world_size;
  std::vector<std::byte> result;  // star only
};
struct CompleteConnect {
  Outcome outcome;
};
struct CompleteCall {
  Outcome outcome;
  bool peers_pending = false;
};
// Serve the shared state to whoever has the token, and fetch it, if there is another one here, from
// the holders; then report StateFetched. Sent again with the same call when the holders change.
struct MoveState {
  PeerId self;
  wire::SyncElected elected;
  bool fetch;
};
struct DescribeState {  // tell the master what the state is made of
  CallId call;
  std::uint64_t from;  // entry
};
// After it no byte of the state is read or written any more.
struct CompleteSync {
  Outcome outcome;
  Revision revision;  // of success
};
// Send on a path, or receive and measure, in place of what was measured in this direction before;
// then report PathJudged.
struct MeasurePath {
  PeerId self;
  wire::PathWanted wanted;
};
struct StopMeasuring {};  // both directions
struct PeerWakeAt {
  Instant at;
};
struct PeerNote {
  std::string text;
};

using PeerEffect =
    std::variant<SendToMaster, CloseMaster, RedialMaster, Relink, KeepLinks, EnterEpoch, StartRing,
                 PassOver, CancelRing, CompleteOp, CompleteConnect, CompleteCall, MoveState,
                 DescribeState, CompleteSync, MeasurePath, StopMeasuring, PeerWakeAt, PeerNote>;
using PeerEffects = std::vector<PeerEffect>;

}  // namespace pccl::membership
