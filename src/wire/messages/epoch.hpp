// A ring of members: proposed, linked, installed.
#pragma once

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "base/ids.hpp"
#include "wire/messages/common.hpp"

namespace pccl::wire {

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

}  // namespace pccl::wire
