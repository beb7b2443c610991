// The links of one peer to its ring neighbours: dials the next rank, answers the previous one at
// the p2p door, keeps what an epoch change leaves in place, and says when both stand or one has
// failed. A link is all its lanes: one broken lane is a broken link. Runs while the loop is held.
#pragma once

#include <cstdint>
#include <deque>
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

struct LinkOptions {
  std::uint32_t lanes = 0;  // 0: as many as the round trip wants
  Duration peer_timeout = std::chrono::seconds(3);
  bool shared_memory = true;  // with a neighbour on this machine
};

class PeerLinks {
 public:
  struct Callbacks {
    std::function<void(const membership::LinksStand&)> on_stand;
    std::function<void(const membership::LinkBroken&)> on_broken;
    std::function<void()> on_progress;  // lanes have moved frames
    std::function<void()>
        on_previous_replaced;  // a new link from the previous rank serves `incoming`
    // Somebody at the door who measures a path.
    std::function<void(Door&, Door::VisitorId, const wire::PathHello&)> on_path_hello;
  };

  PeerLinks(net::Loop& loop, net::LaneClient& outgoing, net::LaneClient& incoming,
            LinkOptions options, Callbacks callbacks);
  ~PeerLinks();

  Outcome listen(bool v6);  // on all interfaces, at the first free port from the p2p port on
  std::uint16_t port() const { return door_.port(); }

  void relink(const membership::Relink& relink);
  void keep(const membership::KeepLinks& keep);
  void kick_outgoing();
  void kick_incoming();
  void check_pings(Instant now, bool overslept);
  void ask_door_again() { door_.ask_again(); }

 private:
  struct Link {
    Epoch opened_in;
    Duration rtt{0};  // as the kernel measured it while it was opened
    std::vector<std::unique_ptr<net::BulkLane>> lanes;  // all of them, once it stands
  };
  // A lane that dials and greets.
  struct Dialling {
    std::unique_ptr<net::Dialer> dialer;
    std::unique_ptr<net::ControlChannel> channel;
    std::optional<std::pair<net::Stream, std::vector<std::byte>>> ready;
  };
  struct OutgoingAttempt {
    membership::Relink relink;
    Instant deadline;
    bool local = false;  // to a process of this machine, as it seems; else over TCP
    std::vector<Dialling> lanes;
  };
  // A link from the previous rank of which some lanes have come.
  struct IncomingAttempt {
    Epoch epoch;
    std::map<std::uint16_t, std::pair<net::Stream, std::vector<std::byte>>> lanes;
  };

  void dial(const membership::Relink& relink);
  void dial_over_tcp();
  void dial_lanes(std::size_t from, std::size_t count);
  void greet(std::size_t lane, net::FileDescriptor socket);
  void lane_ready(std::size_t lane);
  void dial_failed(const std::string& why);

  void judge(Door::VisitorId id, const wire::Message& greeting);
  void admit(Door::VisitorId id, const wire::LaneHello& hello);

  void stand_if_whole();
  static bool was_used(const Link& link);
  void link_failed(PeerId peer, bool outgoing, wire::LinkFault fault, const std::string& why);
  std::unique_ptr<net::BulkLane> make_lane(PeerId peer, bool outgoing,
                                           std::pair<net::Stream, std::vector<std::byte>> ready);

  net::Loop& loop_;
  net::LaneClient& outgoing_client_;
  net::LaneClient& incoming_client_;
  LinkOptions options_;
  Callbacks callbacks_;
  Door door_{loop_, [this](Door::VisitorId id, const wire::Message& hello) { judge(id, hello); }};

  std::optional<membership::Relink> wanted_;
  bool reported_ = false;  // that the wanted links stand
  std::map<PeerId, Link> outgoing_, incoming_;
  std::unique_ptr<OutgoingAttempt> dialling_;
  IncomingAttempt arriving_;
};

}  // namespace pccl::node
