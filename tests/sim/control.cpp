#include "sim/control.hpp"

#include "sim/world.hpp"

namespace pccl::sim {

Control::Control(World& world, SimPeer& peer, membership::Connection id)
    : world_(world),
      peer_(peer),
      id_(id),
      up_(
          world.timeline, world.master, [this] { return !up_silent_; },
          [this](Item& item) { at_master(item); }),
      down_(
          world.timeline, peer, [this] { return !down_silent_; },
          [this](Item& item) { at_peer(item); }) {
  // The handshake of TCP: the peer's side stands one trip later than the master's.
  const Duration trip = world.control_delay();
  world.master.later(trip, [this] {
    if (master_open_) world_.master.opened(*this);
  });
  world.timeline.after(trip + world.control_delay(), [this] {
    peer_.run([this] {
      if (peer_open_) peer_.master_reached();
    });
  });
}

void Control::send_up(wire::Frame frame) {
  if (peer_open_) up_.send({std::move(frame)}, world_.control_delay());
}

void Control::send_down(wire::Frame frame) {
  if (master_open_) down_.send({std::move(frame)}, world_.control_delay());
}

void Control::close_at_peer(bool reset) {
  if (!std::exchange(peer_open_, false)) return;
  if (reset) up_.lose_all();
  up_.send({std::nullopt}, world_.control_delay());
  down_.lose_all();
}

void Control::close_at_master(bool reset) {
  if (!std::exchange(master_open_, false)) return;
  if (reset) down_.lose_all();
  down_.send({std::nullopt}, world_.control_delay());
  up_.lose_all();
}

void Control::silence(bool up, bool down) {
  up_silent_ |= up;
  down_silent_ |= down;
}

void Control::heal() {
  up_silent_ = down_silent_ = false;
  up_.healed();
  down_.healed();
}

void Control::at_master(Item& item) {
  if (!master_open_) return;
  if (item.frame) return world_.master.received(*this, std::move(*item.frame));
  master_open_ = false;
  world_.master.closed(*this, "the peer closed it");
}

void Control::at_peer(Item& item) {
  if (!peer_open_) return;
  if (item.frame) return peer_.hear_master(*item.frame);
  peer_open_ = false;
  peer_.lose_master("the master closed the connection");
}

}  // namespace pccl::sim
