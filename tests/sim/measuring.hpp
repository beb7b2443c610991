// A peer's part in pcclOptimizeTopology without sockets: whoever sends dials, whoever receives says
// after a while what the world's options say of the path.
#pragma once

#include <map>

#include "membership/peer_events.hpp"

namespace pccl::sim {

class SimPeer;
class World;

class Measuring {
 public:
  Measuring(World& world, SimPeer& peer) : world_(world), peer_(peer) {}

  void measure(const membership::MeasurePath& measure);
  void stop() { wanted_.clear(); }

 private:
  void dial(const wire::PathWanted& wanted);
  void arrived(const wire::Token& token, int from);  // at who receives
  void loaded(const wire::Token& token, int from);
  bool current(const wire::Token& token, bool outgoing) const;
  void failed(const wire::Token& token, wire::LinkFault fault, const char* why);

  World& world_;
  SimPeer& peer_;
  std::map<bool, wire::PathWanted> wanted_;  // outgoing or not
  std::map<wire::Token, int> at_the_door_;   // from whom
};

}  // namespace pccl::sim
