// A peer's links: whom it dials, whom it lets in, when its place in the ring stands. The same rules
// as src/node/peer_links, without sockets.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "membership/peer_events.hpp"
#include "sim/link.hpp"

namespace pccl::sim {

class Door final : public LinkHost {
 public:
  Door(World& world, SimPeer& peer) : world_(world), peer_(peer) {}

  void relink(const membership::Relink& relink);
  void keep(const membership::KeepLinks& keep);
  void kick();
  void close_all(const std::string& why);  // the process is gone
  void link_lost(Link& link, End end, wire::LinkFault fault, const std::string& why) override;
  net::LaneClient* client(const Link& link, End end) override;
  bool may_begin_frame(const Link& link, End end) const override;

  std::vector<std::pair<Link*, End>> open_links() const;
  Link* outgoing() const;  // to the next rank

 private:
  struct Hello {
    Link* link;
    wire::LaneHello message;
    Instant deadline;
  };
  void dial();
  void dial_failed(Link& link, const std::string& why,
                   wire::LinkFault fault = wire::LinkFault::not_opened);
  void hear(Hello hello);  // at the acceptor
  void judge_parked();
  void admit(const Hello& hello);
  void welcomed(Link& link, PeerId next);
  void stand_if_whole();
  void report_broken(bool outgoing, wire::LinkFault fault, const std::string& why);

  World& world_;
  SimPeer& peer_;
  std::optional<membership::Relink> wanted_;
  bool reported_ = false;
  Link* dialling_ = nullptr;
  Epoch dialling_for_;
  std::map<PeerId, Link*> outgoing_, incoming_;
  std::vector<Hello> parked_;
};

}  // namespace pccl::sim
