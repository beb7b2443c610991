// What a master hears, and what it wants done.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/endpoint.hpp"
#include "base/ids.hpp"
#include "base/time.hpp"
#include "plan/best_ring.hpp"
#include "wire/framing.hpp"

namespace pccl::membership {

using Connection = StrongId<struct ConnectionPurpose>;

struct ConnectionOpened {
  Connection connection;
  IpAddress from;
};
struct FrameReceived {
  Connection connection;
  wire::Frame frame;
};
struct ConnectionClosed {  // by the other side, or because it sent garbage
  Connection connection;
  std::string why;
};
struct TimePassed {};  // the instant asked for by WakeAt has come
struct RingsSolved {   // nothing: there is no ring
  std::uint64_t question;
  std::map<Group, std::optional<plan::Order>> rings;
};

using MasterEvent =
    std::variant<ConnectionOpened, FrameReceived, ConnectionClosed, TimePassed, RingsSolved>;

struct Send {
  Connection connection;
  wire::Message message;
};
struct Close {  // after what has been sent; no ConnectionClosed follows
  Connection connection;
};
struct WakeAt {  // replaces the previous one
  Instant at;
};
struct Note {  // for the log
  std::string text;
  bool detail = false;  // for those who look closely
};

// Find the best ring of each group, which may take a second, without holding up anything; then
// report RingsSolved.
struct SolveRings {
  std::uint64_t question;
  std::map<Group, plan::PathQualities> groups;
};

using MasterEffect = std::variant<Send, Close, WakeAt, Note, SolveRings>;
using MasterEffects = std::vector<MasterEffect>;

}  // namespace pccl::membership
