#include "sim/door.hpp"

#include <algorithm>
#include <utility>

#include "base/limits.hpp"
#include "sim/world.hpp"

namespace pccl::sim {

using namespace std::chrono_literals;

namespace {
constexpr Duration dial_deadline = 1500ms;
}

// Called by the core: nothing here may call it back, so what follows is an event of its own.
void Door::relink(const membership::Relink& relink) {
  wanted_ = relink;
  reported_ = false;
  peer_.later(world_.between(0us, 50us), [this, epoch = relink.epoch] {
    if (!wanted_ || wanted_->epoch != epoch) return;
    if (!outgoing_.contains(wanted_->next.peer)) dial();
    judge_parked();
    stand_if_whole();
  });
}

void Door::keep(const membership::KeepLinks& keep) {
  const auto drop = [](std::map<PeerId, Link*>& links, PeerId kept, End end) {
    for (auto link = links.begin(); link != links.end();) {
      if (link->first == kept) {
        ++link;
        continue;
      }
      link->second->close(end, "not of this ring any more");
      link = links.erase(link);
    }
  };
  drop(outgoing_, keep.next, End::dialler);
  drop(incoming_, keep.previous, End::acceptor);
  if (keep.next != PeerId{}) return;
  wanted_.reset();
  if (dialling_ != nullptr)
    std::exchange(dialling_, nullptr)->close(End::dialler, "not wanted any more");
}

void Door::close_all(const std::string& why) {
  for (auto& [id, link] : outgoing_) link->close(End::dialler, why);
  for (auto& [id, link] : incoming_) link->close(End::acceptor, why);
  if (dialling_ != nullptr) dialling_->close(End::dialler, why);
  for (const Hello& hello : parked_) hello.link->close(End::acceptor, why);
  outgoing_.clear();
  incoming_.clear();
  parked_.clear();
  dialling_ = nullptr;
  wanted_.reset();
}

// ---- to the next rank

void Door::dial() {
  if (dialling_ != nullptr) dialling_->close(End::dialler, "another ring is wanted");
  SimPeer* const target = world_.peer_at(wanted_->next.p2p);
  PCCL_REQUIRE(target != nullptr, "Membership", "a ring names an address where nobody ever was");
  Link& link = world_.new_link({peer_, *this}, {*target, target->door()}, world_.options.lanes);
  dialling_ = &link;
  dialling_for_ = wanted_->epoch;
  const wire::LaneHello message{
      .epoch = wanted_->epoch, .token = wanted_->token, .from = wanted_->self};
  const int from = peer_.slot(), to = target->slot();
  const Duration trip = 2 * world_.link_delay() + world_.paths.dial_delay(from, to);
  world_.timeline.after(trip, [this, &link, target, message, from, to] {
    const auto refused = [&](const std::string& why) {
      peer_.later(world_.link_delay(), [this, &link, why] { dial_failed(link, why); });
    };
    if (world_.paths.current_cut_either_way(from, to) != 0 || target->options().p2p_silent)
      return;  // until the deadline
    if (!target->alive() || world_.paths.refuses(from, to)) return refused("connection refused");
    target->run([this, &link, target, message] {
      target->door().hear({&link, message, world_.timeline.now() + limits::handshake_deadline});
    });
  });
  peer_.later(dial_deadline, [this, &link] {
    dial_failed(link, "no answer in time", wire::LinkFault::unreached);
  });
}

void Door::dial_failed(Link& link, const std::string& why, wire::LinkFault fault) {
  if (dialling_ != &link) return;
  dialling_ = nullptr;
  link.close(End::dialler, why);
  if (wanted_ && wanted_->epoch == dialling_for_) report_broken(true, fault, why);
}

void Door::welcomed(Link& link, PeerId next) {
  if (dialling_ != &link) return;
  dialling_ = nullptr;
  link.open_at(End::dialler);
  outgoing_[next] = &link;
  stand_if_whole();
  peer_.after_work();
}

// ---- from the previous rank

void Door::hear(Hello hello) {
  const wire::LaneHello& message = hello.message;
  if (!wanted_ || message.epoch > wanted_->epoch) {  // its proposal is on its way here
    Link* const link = hello.link;
    peer_.later(limits::handshake_deadline, [this, link] {
      if (std::erase_if(parked_, [link](const Hello& parked) { return parked.link == link; }) > 0)
        link->close(End::acceptor, "of an epoch that never came");
    });
    parked_.push_back(std::move(hello));
    return;
  }
  if (message.epoch == wanted_->epoch && message.token == wanted_->token &&
      message.from == wanted_->previous)
    return admit(hello);
  SimPeer& dialler = hello.link->peer(End::dialler);
  dialler.later(world_.link_delay(), [&door = dialler.door(), link = hello.link] {
    door.dial_failed(*link, "it refuses the lane");
  });
}

void Door::judge_parked() {
  for (Hello& hello : std::exchange(parked_, {})) hear(std::move(hello));
}

void Door::admit(const Hello& hello) {
  Link& link = *hello.link;
  const auto old = incoming_.find(hello.message.from);
  if (old != incoming_.end()) old->second->close(End::acceptor, "replaced");
  link.open_at(End::acceptor);
  incoming_[hello.message.from] = &link;
  peer_.core().previous_link_replaced();
  SimPeer& dialler = link.peer(End::dialler);
  const int from = peer_.slot(), to = dialler.slot();
  world_.timeline.after(world_.link_delay(), [this, &link, &dialler, from, to] {
    if (world_.paths.passable(from, to))
      dialler.run([&dialler, &link, next = peer_.id()] { dialler.door().welcomed(link, next); });
  });
  stand_if_whole();
  peer_.after_work();
}

// ---- both

void Door::stand_if_whole() {
  if (reported_ || !wanted_ || !outgoing_.contains(wanted_->next.peer) ||
      !incoming_.contains(wanted_->previous))
    return;
  reported_ = true;
  // Any: all members must cut their ops alike, whatever each of them has measured.
  peer_.post(membership::LinksStand{wanted_->epoch, world_.between(0us, 100ms)});
}

void Door::link_lost(Link& link, End end, wire::LinkFault fault, const std::string& why) {
  auto& links = end == End::dialler ? outgoing_ : incoming_;
  const auto found = std::find_if(links.begin(), links.end(),
                                  [&](const auto& entry) { return entry.second == &link; });
  link.close(end, why);
  if (found == links.end()) return;
  const PeerId neighbour = found->first;
  links.erase(found);
  if (wanted_ && (end == End::dialler ? wanted_->next.peer : wanted_->previous) == neighbour)
    report_broken(end == End::dialler, fault, why);
}

void Door::report_broken(bool outgoing, wire::LinkFault fault, const std::string& why) {
  if (wanted_) peer_.post(membership::LinkBroken{wanted_->epoch, outgoing, fault, why});
}

net::LaneClient* Door::client(const Link&, End end) {
  return end == End::dialler ? &peer_.core().outgoing() : &peer_.core().incoming();
}

bool Door::may_begin_frame(const Link& link, End end) const {
  if (!wanted_) return false;
  const auto& links = end == End::dialler ? outgoing_ : incoming_;
  const auto found = links.find(end == End::dialler ? wanted_->next.peer : wanted_->previous);
  return found != links.end() && found->second == &link;
}

Link* Door::outgoing() const {
  if (!wanted_) return nullptr;
  const auto found = outgoing_.find(wanted_->next.peer);
  return found == outgoing_.end() ? nullptr : found->second;
}

void Door::kick() {
  if (!wanted_) return;
  if (peer_.core().outgoing_has_frames())
    if (Link* const link = outgoing()) link->kick(End::dialler);
  if (peer_.core().incoming_has_frames())
    if (const auto link = incoming_.find(wanted_->previous); link != incoming_.end())
      link->second->kick(End::acceptor);
}

std::vector<std::pair<Link*, End>> Door::open_links() const {
  std::vector<std::pair<Link*, End>> links;
  for (const auto& [id, link] : outgoing_) links.emplace_back(link, End::dialler);
  for (const auto& [id, link] : incoming_) links.emplace_back(link, End::acceptor);
  return links;
}

}  // namespace pccl::sim
