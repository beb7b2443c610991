#include "node/peer_links.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/limits.hpp"
#include "base/log.hpp"
#include "net/host_addresses.hpp"
#include "plan/lane_count.hpp"

namespace pccl::node {

namespace {
constexpr std::uint16_t p2p_port = 48150;  // CCOIP_PROTOCOL_PORT_P2P
}

PeerLinks::PeerLinks(net::Loop& loop, net::LaneClient& outgoing, net::LaneClient& incoming,
                     LinkOptions options, Callbacks callbacks)
    : loop_(loop),
      outgoing_client_(outgoing),
      incoming_client_(incoming),
      options_(options),
      callbacks_(std::move(callbacks)) {
  options_.lanes = std::min(options_.lanes, limits::lanes_per_link);
}

PeerLinks::~PeerLinks() = default;

Outcome PeerLinks::listen(bool v6) {
  const Outcome listening = door_.listen(v6, p2p_port);
  if (!listening.ok() || !options_.shared_memory) return listening;
  if (const Outcome beside = door_.listen_beside_port(); !beside.ok())
    log()->info("no shared memory with processes of this machine: {}", beside.why);
  return listening;
}

void PeerLinks::relink(const membership::Relink& relink) {
  wanted_ = relink;
  reported_ = false;
  dialling_.reset();  // of an older epoch: its token no longer opens a door
  if (!outgoing_.contains(relink.next.peer)) dial(relink);
  door_.ask_again();  // hellos that came before this epoch was known here
  stand_if_whole();
}

void PeerLinks::keep(const membership::KeepLinks& keep) {
  const auto drop = [this](std::map<PeerId, Link>& links, PeerId kept) {
    for (auto link = links.begin(); link != links.end();) {
      if (link->first == kept) {
        ++link;
        continue;
      }
      link = links.erase(link);
    }
  };
  drop(outgoing_, keep.next);
  drop(incoming_, keep.previous);
  if (keep.next == PeerId{}) {
    wanted_.reset();
    dialling_.reset();
    arriving_ = {};
  }
}

// ---- to the next rank
// ------------------------------------------------------------------------------------

void PeerLinks::dial(const membership::Relink& relink) {
  dialling_ = std::make_unique<OutgoingAttempt>();
  dialling_->relink = relink;
  dialling_->deadline = net::Loop::now() + options_.peer_timeout;
  dialling_->local = options_.shared_memory && net::is_of_this_host(relink.next.p2p.address);
  if (dialling_->local) return dial_lanes(0, 1);
  dial_over_tcp();
}

void PeerLinks::dial_over_tcp() {
  dialling_->local = false;
  dialling_->lanes.clear();
  dial_lanes(0, std::max<std::size_t>(options_.lanes, 1));
}

void PeerLinks::dial_lanes(std::size_t from, std::size_t count) {
  dialling_->lanes.resize(count);
  const auto way = dialling_->local ? net::Dialer::Way::local : net::Dialer::Way::tcp;
  for (std::size_t lane = from; lane < count; ++lane)
    dialling_->lanes[lane].dialer = std::make_unique<net::Dialer>(
        loop_, dialling_->relink.next.p2p, options_.peer_timeout,
        [this, lane](net::FileDescriptor socket, const std::string& why) {
          if (socket)
            greet(lane, std::move(socket));
          else
            dial_failed(why);
        },
        way);
}

// The first lane tells how long the round trip is, and that how many there are to be.
void PeerLinks::greet(std::size_t lane, net::FileDescriptor socket) {
  const membership::Relink& relink = dialling_->relink;
  net::Stream stream(loop_, std::move(socket), relink.next.p2p);
  if (options_.lanes == 0 && lane == 0 && !dialling_->local)
    dial_lanes(1, plan::lanes_for(stream.round_trip()));
  auto channel =
      std::make_unique<net::ControlChannel>(std::move(stream), limits::greeting_frame_bytes);
  channel->start(
      [this, lane](const wire::Frame& frame) {
        if (std::holds_alternative<wire::LaneWelcome>(frame.message)) return lane_ready(lane);
        const auto* const refused = std::get_if<wire::Refused>(&frame.message);
        dial_failed(refused != nullptr ? "it refuses the lane: " + refused->why
                                       : "it does not keep the protocol");
      },
      [this](const std::string& why) {
        dial_failed("it closed the connection during the handshake (" + why + ")");
      });
  channel->send(Term{},
                wire::LaneHello{.epoch = relink.epoch,
                                .token = relink.token,
                                .from = relink.self,
                                .lane = static_cast<std::uint16_t>(lane),
                                .lanes = static_cast<std::uint16_t>(dialling_->lanes.size())});
  dialling_->lanes[lane].channel = std::move(channel);
}

void PeerLinks::lane_ready(std::size_t lane) {
  Dialling& mine = dialling_->lanes[lane];
  mine.ready = mine.channel->release();
  if (mine.ready->first.turn_to_memory()) mine.ready->second.clear();
  mine.channel.reset();
  if (!std::all_of(dialling_->lanes.begin(), dialling_->lanes.end(),
                   [](const Dialling& d) { return d.ready.has_value(); }))
    return;
  const auto whole = std::move(dialling_);
  const PeerId next = whole->relink.next.peer;
  Link& link = outgoing_[next];
  link.opened_in = whole->relink.epoch;
  link.rtt = Duration::max();
  for (Dialling& dialled : whole->lanes) {
    link.rtt = std::min(link.rtt, dialled.ready->first.round_trip());
    link.lanes.push_back(make_lane(next, true, std::move(*dialled.ready)));
  }
  stand_if_whole();
  if (const auto found = outgoing_.find(next); found != outgoing_.end())
    for (const auto& opened : found->second.lanes) {
      opened->start();
      opened->kick();
    }
}

void PeerLinks::dial_failed(const std::string& why) {
  if (dialling_->local) {
    log()->debug("no local connection to the next rank, TCP instead: {}", why);
    return dial_over_tcp();
  }
  const auto failed = std::move(dialling_);
  // Silence for so long tells of the path; anything else has come over it.
  const auto fault = net::Loop::now() < failed->deadline ? wire::LinkFault::not_opened
                                                         : wire::LinkFault::unreached;
  if (wanted_ && wanted_->epoch == failed->relink.epoch)
    callbacks_.on_broken({failed->relink.epoch, true, fault, why});
}

// ---- from the previous rank
// ------------------------------------------------------------------------------

void PeerLinks::judge(Door::VisitorId id, const wire::Message& greeting) {
  if (const auto* path = std::get_if<wire::PathHello>(&greeting);
      path != nullptr && path->magic == wire::magic && path->version == wire::protocol_version)
    return callbacks_.on_path_hello(door_, id, *path);
  const auto* const lane_hello = std::get_if<wire::LaneHello>(&greeting);
  if (lane_hello == nullptr || lane_hello->magic != wire::magic ||
      lane_hello->version != wire::protocol_version)
    return door_.refuse(
        id,
        "protocol error: the first message at this door is a lane hello of the same "
        "protocol version");
  const wire::LaneHello& hello = *lane_hello;
  // The proposal is on its way here, or the deadline ends it.
  if (!wanted_ || hello.epoch > wanted_->epoch) return;
  if (hello.epoch < wanted_->epoch)
    return door_.refuse(
        id, fmt::format("epoch {} is history, {} counts", hello.epoch.value, wanted_->epoch.value));
  if (hello.token != wanted_->token) return door_.refuse(id, "wrong token");
  if (hello.from != wanted_->previous)
    return door_.refuse(id,
                        fmt::format("peer {} is not the previous rank", short_name(hello.from)));
  if (hello.lanes < 1 || hello.lanes > limits::lanes_per_link || hello.lane >= hello.lanes)
    return door_.refuse(id, "protocol error: lane numbers");
  admit(id, hello);
}

void PeerLinks::admit(Door::VisitorId id, const wire::LaneHello& hello) {
  if (arriving_.epoch != hello.epoch) arriving_ = {hello.epoch, {}};
  arriving_.lanes.insert_or_assign(hello.lane, door_.admit(id));
  if (arriving_.lanes.size() < hello.lanes) return;
  Link link{hello.epoch, {}, {}};
  for (auto& [lane, ready] : arriving_.lanes)
    link.lanes.push_back(make_lane(hello.from, false, std::move(ready)));
  arriving_ = {};
  incoming_[hello.from] = std::move(link);
  callbacks_.on_previous_replaced();
  stand_if_whole();
  if (const auto found = incoming_.find(hello.from); found != incoming_.end())
    for (const auto& lane : found->second.lanes) {
      lane->start();
      lane->kick();
    }
}

// ---- both
// ------------------------------------------------------------------------------------------------

void PeerLinks::stand_if_whole() {
  if (reported_ || !wanted_ || !outgoing_.contains(wanted_->next.peer) ||
      !incoming_.contains(wanted_->previous))
    return;
  reported_ = true;
  callbacks_.on_stand({wanted_->epoch, outgoing_.at(wanted_->next.peer).rtt});
}

std::unique_ptr<net::BulkLane> PeerLinks::make_lane(
    PeerId peer, bool outgoing, std::pair<net::Stream, std::vector<std::byte>> ready) {
  net::LaneClient& client = outgoing ? outgoing_client_ : incoming_client_;
  return std::make_unique<net::BulkLane>(
      std::move(ready.first), std::move(ready.second), client,
      net::BulkLane::Callbacks{[this] { callbacks_.on_progress(); },
                               [this, peer, outgoing](const std::string& why) {
                                 link_failed(peer, outgoing, wire::LinkFault::broke, why);
                               }});
}

// Who dials may give an attempt up for that of a newer epoch while our welcome is on its way, and
// then never knew of this link. It dials again where it is still to reach us, and it notices itself
// when a link that it does know of breaks.
bool PeerLinks::was_used(const Link& link) {
  return std::any_of(link.lanes.begin(), link.lanes.end(),
                     [](const auto& lane) { return lane->has_heard(); });
}

void PeerLinks::link_failed(PeerId peer, bool outgoing, wire::LinkFault fault,
                            const std::string& why) {
  auto& links = outgoing ? outgoing_ : incoming_;
  const auto found = links.find(peer);
  if (found == links.end()) return;
  const bool given_up = !outgoing && fault == wire::LinkFault::broke && !was_used(found->second);
  links.erase(found);
  if (given_up) return;
  if (wanted_ && (outgoing ? wanted_->next.peer : wanted_->previous) == peer)
    callbacks_.on_broken({wanted_->epoch, outgoing, fault, why});
}

void PeerLinks::kick_outgoing() {
  if (!wanted_) return;
  const auto found = outgoing_.find(wanted_->next.peer);
  if (found == outgoing_.end()) return;
  for (const auto& lane : found->second.lanes) lane->kick();
}

void PeerLinks::kick_incoming() {
  if (!wanted_) return;
  const auto found = incoming_.find(wanted_->previous);
  if (found == incoming_.end()) return;
  for (const auto& lane : found->second.lanes) lane->kick();
}

void PeerLinks::check_pings(Instant now, bool overslept) {
  std::vector<std::pair<PeerId, bool>> silent;
  for (auto* links : {&outgoing_, &incoming_})
    for (const auto& [peer, link] : *links)
      for (const auto& lane : link.lanes) {
        if (overslept) lane->grant_fresh_deadline(now);
        if (lane->unanswered(now) > options_.peer_timeout)
          silent.emplace_back(peer, links == &outgoing_);
        else
          lane->ping();
      }
  for (const auto& [peer, outgoing] : silent)
    link_failed(peer, outgoing, wire::LinkFault::unanswered,
                fmt::format("no answer to pings for {:.1f} s", seconds(options_.peer_timeout)));
  if (dialling_ && now > dialling_->deadline) {
    dialling_->local = false;  // who is silent there would be silent over TCP, too
    dial_failed("the handshake was not answered in time");
  }
  door_.close_overdue(now);
}

}  // namespace pccl::node
