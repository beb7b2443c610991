// Paths between members, measured to find the best ring.
#pragma once

#include <cstdint>
#include <string>
#include <tuple>

#include "base/ids.hpp"
#include "wire/messages/epoch.hpp"

namespace pccl::wire {

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

}  // namespace pccl::wire
