// The connection between a peer and the master: frames in order, delayed, and an end that the other
// side hears of when everything before it has arrived, or earlier.
#pragma once

#include <string>

#include "membership/master_events.hpp"
#include "sim/pipe.hpp"
#include "wire/framing.hpp"

namespace pccl::sim {

class SimPeer;
class World;

class Control {
 public:
  Control(World& world, SimPeer& peer, membership::Connection id);

  membership::Connection id() const { return id_; }
  SimPeer& peer() const { return peer_; }

  void send_up(wire::Frame frame);
  void send_down(wire::Frame frame);
  void close_at_peer(bool reset);
  void close_at_master(bool reset);
  void silence(bool up, bool down);  // half-open: nothing comes through, nobody is told
  void heal();
  bool master_end_open() const { return master_open_; }

 private:
  struct Item {
    std::optional<wire::Frame> frame;  // none: the end
  };
  void at_master(Item& item);
  void at_peer(Item& item);

  World& world_;
  SimPeer& peer_;
  membership::Connection id_;
  bool peer_open_ = true, master_open_ = true;
  bool up_silent_ = false, down_silent_ = false;
  Pipe<Item> up_, down_;
};

}  // namespace pccl::sim
