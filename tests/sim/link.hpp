// A link of several lanes between two peers, as TCP connections are: frames of different lanes
// overtake each other, a frame comes in pieces, and what the kernels hold is bounded.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/lane_client.hpp"
#include "sim/pipe.hpp"
#include "wire/messages.hpp"

namespace pccl::sim {

class Link;
class SimPeer;
class World;

enum class End : bool { dialler, acceptor };
constexpr End other(End end) {
  return end == End::dialler ? End::acceptor : End::dialler;
}

// What an end of a link belongs to.
class LinkHost {
 public:
  virtual ~LinkHost() = default;
  // Who sends and receives on it; null: nobody any more.
  virtual net::LaneClient* client(const Link& link, End end) = 0;
  virtual bool may_begin_frame(const Link& link, End end) const = 0;
  virtual void link_lost(Link& link, End end, wire::LinkFault fault, const std::string& why) = 0;
};

// One direction of a lane.
class LaneStream {
 public:
  LaneStream(World& world, Link& link, End sender, std::size_t kernel_bytes);

  void kick();  // the sender may have something
  void healed() { pipe_.healed(); }
  void lose_all() { pipe_.lose_all(); }

 private:
  struct Piece {
    wire::BulkHeader frame;
    bool header;
    std::size_t offset;
    std::vector<std::byte> bytes;
  };
  void pump();
  bool send_header();
  bool send_piece();
  void receive(Piece& piece);
  void finish_sending();

  World& world_;
  Link& link_;
  End sender_;
  std::size_t kernel_bytes_, held_bytes_ = 0;  // by both kernels
  bool scheduled_ = false;
  bool blocked_ = false;  // the kernels are full
  std::optional<wire::BulkHeader> sending_;
  std::size_t sent_ = 0;
  Pipe<Piece> pipe_;
};

class Link {
 public:
  struct Side {
    SimPeer& peer;
    LinkHost& host;
  };
  Link(World& world, Side dialler, Side acceptor, unsigned lanes);

  LinkHost& host(End end) const { return (end == End::dialler ? dialler_ : acceptor_).host; }
  SimPeer& peer(End end) const { return (end == End::dialler ? dialler_ : acceptor_).peer; }
  bool open(End end) const { return open_[static_cast<int>(end)]; }
  // What the other end has sent already waits until the handshake has ended here, too.
  bool opening(End end) const { return !open(end) && !closed_[static_cast<int>(end)]; }
  void open_at(End end);
  // The other end hears of it later, unless the path is cut.
  void close(End end, const std::string& why);
  void kick(End sender);
  void healed();
  // Both ends find their pings unanswered when whatever silences the link lasts until now.
  void lost_pings(End end);

 private:
  void tell_of_close(End end, const std::string& why);

  World& world_;
  Side dialler_, acceptor_;
  bool open_[2] = {false, false};
  bool closed_[2] = {false, false};
  bool close_untold_[2] = {false, false};
  std::vector<std::unique_ptr<LaneStream>> streams_[2];  // by sender
};

}  // namespace pccl::sim
