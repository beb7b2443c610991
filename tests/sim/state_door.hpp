// A peer's connections of a sync: the holders that it fetches from, and who fetches from it. The
// same rules as src/node/state_links, without sockets.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "membership/peer_events.hpp"
#include "sim/link.hpp"

namespace pccl::sim {

class StateDoor final : public LinkHost {
 public:
  StateDoor(World& world, SimPeer& peer) : world_(world), peer_(peer) {}

  void move(const membership::MoveState& move);
  void source_failed(PeerId holder, const std::string& why);
  void close_all(const std::string& why);
  void kick();
  std::vector<std::pair<Link*, End>> open_links() const;

  void link_lost(Link& link, End end, wire::LinkFault fault, const std::string& why) override;
  net::LaneClient* client(const Link& link, End end) override;
  bool may_begin_frame(const Link&, End) const override { return true; }

 private:
  struct Source {
    Endpoint address;
    Link* link = nullptr;
    net::LaneClient* client = nullptr;  // once it stands
    int failures = 0;
  };
  struct Receiver {
    Link* link;
    net::LaneClient* client;
  };
  struct Hello {
    Link* link;
    wire::Token token;
  };

  void follow();  // dials who is wanted, judges who waits
  void dial(PeerId holder);
  void hear(const Hello& hello);  // at the holder
  void welcomed(Link& link, PeerId holder);

  World& world_;
  SimPeer& peer_;
  std::optional<membership::MoveState> wanted_;
  std::map<PeerId, Source> sources_;
  std::map<std::uint64_t, Receiver> receivers_;
  std::vector<Hello> waiting_;
  std::uint64_t next_receiver_ = 1;
};

}  // namespace pccl::sim
