#include "sim/state_door.hpp"

#include <algorithm>
#include <utility>

#include "base/limits.hpp"
#include "sim/world.hpp"

namespace pccl::sim {

using namespace std::chrono_literals;

namespace {
constexpr Duration dial_deadline = 1500ms;
constexpr Duration redial_delay = 300ms;
constexpr int failures_tolerated = 3;
}  // namespace

// Called by the core: nothing here may call it back, so what follows is an event of its own.
void StateDoor::move(const membership::MoveState& move) {
  if (wanted_ && wanted_->elected.token != move.elected.token)
    for (auto& [holder, source] : sources_) {
      if (source.client != nullptr) continue;
      if (source.link != nullptr) source.link->close(End::dialler, "elected anew");
      source = Source{.address = source.address};
    }
  wanted_ = move;
  peer_.later(world_.between(0us, 50us), [this, call = move.elected.call] {
    if (wanted_ && wanted_->elected.call == call) follow();
  });
}

void StateDoor::follow() {
  for (const Hello& hello : std::exchange(waiting_, {})) hear(hello);
  if (!wanted_->fetch) return;
  std::map<PeerId, Source> kept;
  for (const wire::StateHolder& holder : wanted_->elected.holders) {
    if (auto source = sources_.extract(holder.peer))
      kept.insert(std::move(source));
    else
      kept[holder.peer].address = holder.state;
  }
  for (auto& [holder, source] : std::exchange(sources_, std::move(kept))) {
    if (source.link != nullptr) source.link->close(End::dialler, "it holds nothing any more");
    peer_.core().transfer()->source_lost(holder, "it holds the elected content no more", true);
  }
  for (const wire::StateHolder& holder : wanted_->elected.holders) {
    const Source& source = sources_.at(holder.peer);
    if (source.link == nullptr && source.failures == 0) dial(holder.peer);
  }
  peer_.after_work();
}

void StateDoor::close_all(const std::string& why) {
  wanted_.reset();
  for (auto& [holder, source] : sources_)
    if (source.link != nullptr) source.link->close(End::dialler, why);
  for (auto& [id, receiver] : receivers_) receiver.link->close(End::acceptor, why);
  sources_.clear();
  receivers_.clear();
}

// ---- to the holders

void StateDoor::dial(PeerId holder) {
  Source& source = sources_.at(holder);
  SimPeer* const target = world_.peer_at(source.address);
  PCCL_REQUIRE(target != nullptr, "Membership", "a holder has an address where nobody ever was");
  Link& link = world_.new_link({peer_, *this}, {*target, target->state_door()}, 1);
  source.link = &link;
  const int from = peer_.slot(), to = target->slot();
  const Duration trip = 2 * world_.link_delay() + world_.paths.dial_delay(from, to);
  const auto failed = [this, &link, holder](const std::string& why) {
    const auto found = sources_.find(holder);
    if (found != sources_.end() && found->second.link == &link && found->second.client == nullptr)
      source_failed(holder, why);
    peer_.after_work();
  };
  world_.timeline.after(
      trip, [this, &link, target, from, to, failed, token = wanted_->elected.token] {
        if (world_.paths.current_cut_either_way(from, to) != 0 || target->options().p2p_silent)
          return;  // until the deadline
        if (!target->alive() || world_.paths.refuses(from, to)) {
          peer_.later(world_.link_delay(), [failed] { failed("connection refused"); });
          return;
        }
        target->run([target, hello = Hello{&link, token}] { target->state_door().hear(hello); });
      });
  peer_.later(dial_deadline, [failed] { failed("no answer in time"); });
}

void StateDoor::welcomed(Link& link, PeerId holder) {
  const auto found = sources_.find(holder);
  if (found == sources_.end() || found->second.link != &link) return;
  link.open_at(End::dialler);
  found->second.client = &peer_.core().transfer()->source(holder);
  peer_.after_work();
}

void StateDoor::source_failed(PeerId holder, const std::string& why) {
  const auto found = sources_.find(holder);
  if (found == sources_.end()) return;
  Source& source = found->second;
  if (source.link != nullptr) source.link->close(End::dialler, why);
  source.link = nullptr;
  source.client = nullptr;
  const bool for_good = ++source.failures >= failures_tolerated;
  peer_.core().transfer()->source_lost(holder, why, for_good);
  if (for_good) return;
  peer_.later(redial_delay, [this, holder, failures = source.failures] {
    const auto again = sources_.find(holder);
    if (again != sources_.end() && again->second.failures == failures &&
        again->second.link == nullptr)
      dial(holder);
  });
}

// ---- to the fetchers

void StateDoor::hear(const Hello& hello) {
  if (!wanted_ || wanted_->elected.token != hello.token) {
    waiting_.push_back(hello);
    peer_.later(limits::handshake_deadline, [this, link = hello.link] {
      if (std::erase_if(waiting_, [link](const Hello& h) { return h.link == link; }) > 0)
        link->close(End::acceptor, "of a sync that is not here");
    });
    return;
  }
  Link& link = *hello.link;
  link.open_at(End::acceptor);
  const std::uint64_t id = next_receiver_++;
  receivers_[id] = {&link, &peer_.core().transfer()->receiver(id)};
  SimPeer& dialler = link.peer(End::dialler);
  const int from = peer_.slot(), to = dialler.slot();
  world_.timeline.after(world_.link_delay(), [this, &link, &dialler, from, to] {
    if (world_.paths.passable(from, to))
      dialler.run(
          [&dialler, &link, holder = peer_.id()] { dialler.state_door().welcomed(link, holder); });
  });
}

// ---- both

void StateDoor::link_lost(Link& link, End end, wire::LinkFault, const std::string& why) {
  link.close(end, why);
  if (end == End::dialler) {
    const auto found = std::find_if(sources_.begin(), sources_.end(),
                                    [&](const auto& entry) { return entry.second.link == &link; });
    if (found != sources_.end()) source_failed(found->first, why);
  } else {
    const auto found = std::find_if(receivers_.begin(), receivers_.end(),
                                    [&](const auto& entry) { return entry.second.link == &link; });
    if (found == receivers_.end()) return;
    peer_.core().transfer()->receiver_lost(found->first);
    receivers_.erase(found);
  }
  peer_.after_work();
}

net::LaneClient* StateDoor::client(const Link& link, End end) {
  if (end == End::dialler) {
    for (const auto& [holder, source] : sources_)
      if (source.link == &link) return source.client;
  } else {
    for (const auto& [id, receiver] : receivers_)
      if (receiver.link == &link) return receiver.client;
  }
  return nullptr;
}

void StateDoor::kick() {
  for (const auto& [holder, source] : sources_)
    if (source.client != nullptr) source.link->kick(End::dialler);
  for (const auto& [id, receiver] : receivers_) receiver.link->kick(End::acceptor);
}

std::vector<std::pair<Link*, End>> StateDoor::open_links() const {
  std::vector<std::pair<Link*, End>> links;
  for (const auto& [holder, source] : sources_)
    if (source.client != nullptr) links.emplace_back(source.link, End::dialler);
  for (const auto& [id, receiver] : receivers_) links.emplace_back(receiver.link, End::acceptor);
  return links;
}

}  // namespace pccl::sim
