#include "sim/world.hpp"

#include <algorithm>

#include "sim/application.hpp"

namespace pccl::sim {

using namespace std::chrono_literals;

namespace {
constexpr Duration ping_timeout = 3s;
}

World::World(const WorldOptions& chosen)
    : options(chosen), rng(chosen.seed), trace(timeline, chosen.trace), master(*this) {}

World::~World() = default;

SimPeer& World::spawn(PeerOptions peer) {
  if (!peer.script) peer.script = train;
  const int slot = static_cast<int>(peers_.size());
  peers_.push_back(std::make_unique<SimPeer>(*this, slot, std::move(peer)));
  peers_.back()->start();
  return *peers_.back();
}

std::vector<SimPeer*> World::living() const {
  std::vector<SimPeer*> living;
  for (const auto& peer : peers_)
    if (peer->alive() && !peer->options().mute && !peer->options().p2p_silent)
      living.push_back(peer.get());
  return living;
}

SimPeer* World::peer_at(const Endpoint& p2p) const {
  const auto found = std::find_if(peers_.begin(), peers_.end(),
                                  [&](const auto& peer) { return peer->p2p() == p2p; });
  return found == peers_.end() ? nullptr : found->get();
}

void World::freeze(SimPeer& peer) {
  trace.print("fault   freeze {}", peer.name());
  peer.freeze();
  peer.blame("it was frozen");
  // Its neighbours' pings stay unanswered; its kernel acknowledges everything.
  ++peer.freezes;
  for (const auto& [link, end] : peer.open_links()) watch_pings(*link, other(end));
}

void World::thaw(SimPeer& peer) {
  trace.print("fault   thaw {}", peer.name());
  peer.thaw();
  // It did not run, so it gives its neighbours fresh deadlines.
  for (const auto& [link, end] : peer.open_links()) watch_pings(*link, end);
}

// What silences a link at one end; 0: nothing.
std::uint64_t World::silence(const Link& link, End end) const {
  const SimPeer& there = link.peer(other(end));
  return (std::uint64_t{paths.current_cut_either_way(link.peer(end).slot(), there.slot())} << 16) +
         (there.frozen() ? there.freezes : 0);
}

void World::watch_pings(Link& link, End end) {
  const std::uint64_t silent = silence(link, end);
  if (silent == 0) return;
  timeline.after(ping_timeout + between(0s, 500ms), [this, &link, end, silent] {
    if (link.peer(end).running() && silence(link, end) == silent) link.lost_pings(end);
  });
}

void World::cut_path(SimPeer& from, SimPeer& to) {
  trace.print("fault   cut the path from {} to {}", from.name(), to.name());
  paths.cut(from.slot(), to.slot());
  from.blame("a path of it was cut");
  to.blame("a path of it was cut");
  for (const auto& [link, end] : from.open_links())
    if (&link->peer(other(end)) == &to) {
      watch_pings(*link, end);
      watch_pings(*link, other(end));
    }
  for (const auto& [link, end] : to.open_links())
    if (&link->peer(other(end)) == &from) {
      watch_pings(*link, end);
      watch_pings(*link, other(end));
    }
}

void World::heal_path(SimPeer& from, SimPeer& to) {
  trace.print("fault   heal the path from {} to {}", from.name(), to.name());
  paths.heal(from.slot(), to.slot());
  paths.end_dial_trouble(from.slot(), to.slot());
  for (const auto& link : links_) link->healed();
}

void World::break_link(SimPeer& from) {
  Link* const link = from.door().outgoing();
  if (link == nullptr) return;
  trace.print("fault   reset the link from {}", from.name());
  SimPeer& to = link->peer(End::acceptor);
  for (const End end : {End::dialler, End::acceptor})
    link->peer(end).later(between(0us, 5ms), [link, end] {
      link->peer(end).door().link_lost(*link, end, wire::LinkFault::broke, "connection reset");
    });
  from.link_resets += 1;
  to.link_resets += 1;
  if (from.link_resets > 2) from.blame("its links broke again and again");
  if (to.link_resets > 2) to.blame("its links broke again and again");
}

void World::cut_off_from_master(SimPeer& peer, bool up, bool down) {
  trace.print("fault   cut {} off from the master ({}{})", peer.name(), up ? "up" : "",
              down ? "down" : "");
  peer.blame("it was cut off from the master");
  if (Control* const control = peer.control()) control->silence(up, down);
}

void World::close_controls_of_master() {
  for (const auto& control : controls_) control->close_at_master(rng.chance(0.5));
}

void World::heal_all(bool thaw_all) {
  trace.print("calm    heal everything");
  if (!master.alive()) master.start();
  paths.heal_all();
  for (const auto& link : links_) link->healed();
  for (const auto& control : controls_) control->heal();
  for (const auto& peer : peers_)
    if (peer->frozen() && thaw_all) thaw(*peer);
  if (master.frozen()) master.thaw();
}

void World::run_for(Duration duration) {
  const Instant end = timeline.now() + duration;
  while (!timeline.idle() && timeline.next() <= end) timeline.step();
  timeline.advance(end);
}

bool World::run_until(const std::function<bool()>& condition, Duration limit) {
  const Instant end = timeline.now() + limit;
  while (!condition()) {
    if (timeline.idle() || timeline.next() > end) return false;
    timeline.step();
  }
  return true;
}

Link& World::new_link(Link::Side dialler, Link::Side acceptor, unsigned lanes) {
  links_.push_back(std::make_unique<Link>(*this, dialler, acceptor, lanes));
  return *links_.back();
}

Control& World::new_control(SimPeer& peer) {
  controls_.push_back(std::make_unique<Control>(
      *this, peer, membership::Connection{static_cast<std::uint64_t>(controls_.size() + 1)}));
  return *controls_.back();
}

Duration World::between(Duration least, Duration most) {
  return least + Duration{rng.below(static_cast<std::uint64_t>((most - least).count()) + 1)};
}

Duration World::delay() {
  const std::uint64_t kind = rng.below(100);
  if (kind == 0) return between(options.trip, 50 * options.trip);
  return between(10us, options.trip);
}

Duration World::link_delay() {
  return delay();
}

Duration World::control_delay() {
  return delay();
}

}  // namespace pccl::sim
