// The connections of a sync of the shared state: dials the holders that this peer fetches from, and
// lets in the peers that fetch from it. Every connection is one lane with a client of its own. Runs
// while the loop is held.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "membership/peer_events.hpp"
#include "net/bulk_lane.hpp"
#include "net/control_channel.hpp"
#include "net/dialer.hpp"
#include "node/door.hpp"

namespace pccl::node {

class StateLinks {
 public:
  using ReceiverId = Door::VisitorId;
  struct Callbacks {
    // A lane stands: who serves it.
    std::function<net::LaneClient&(PeerId holder)> on_source;
    std::function<net::LaneClient&(ReceiverId)> on_receiver;
    // It is over. A holder is dialled again; `for_good`: it was, and this was the last time.
    std::function<void(PeerId holder, const std::string& why, bool for_good)> on_source_lost;
    std::function<void(ReceiverId)> on_receiver_lost;
    std::function<void()> on_progress;
  };

  StateLinks(net::Loop& loop, Duration peer_timeout, Callbacks callbacks);
  ~StateLinks();

  Outcome listen(bool v6);  // at the first free port from the shared state's on
  std::uint16_t port() const { return door_.port(); }

  // From now on whoever has the token is let in. With `fetch` the holders are dialled, those that
  // were dialled already excepted, and others dropped.
  void move(const membership::MoveState& move);
  void drop_source(PeerId holder, const std::string& why);  // it stalls, or lies
  void close();                                             // the sync is over
  void kick();
  void check_pings(Instant now, bool overslept);

 private:
  // A holder: dialled, greeted, then a lane; after a failure dialled again a little later.
  struct Source {
    Endpoint address;
    std::unique_ptr<net::Dialer> dialer;
    std::unique_ptr<net::ControlChannel> channel;
    std::unique_ptr<net::BulkLane> lane;
    std::optional<Instant> deadline;  // of the handshake
    std::optional<Instant> again;     // when it is dialled next
    int failures = 0;
  };

  void judge(Door::VisitorId id, const wire::Message& greeting);
  void admit(Door::VisitorId id);
  void dial(PeerId holder);
  void greet(PeerId holder, net::FileDescriptor socket);
  void source_ready(PeerId holder);
  void source_failed(PeerId holder, const std::string& why);
  void receiver_failed(ReceiverId id);

  net::Loop& loop_;
  Duration peer_timeout_;
  Callbacks callbacks_;
  Door door_{loop_, [this](Door::VisitorId id, const wire::Message& hello) { judge(id, hello); }};
  std::optional<membership::MoveState> wanted_;
  std::map<PeerId, Source> sources_;
  std::map<ReceiverId, std::unique_ptr<net::BulkLane>> receivers_;
};

}  // namespace pccl::node
