// The sending end of a path that is measured: dials the other peer's p2p door over several lanes,
// as a link would, greets, and fills them from when it is asked to until they end. Runs while the
// loop is held.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "membership/peer_events.hpp"
#include "net/bulk_lane.hpp"
#include "net/control_channel.hpp"
#include "net/dialer.hpp"

namespace pccl::node {

class PathSender {
 public:
  // A lane could not be opened; once, and it may destroy the sender. What becomes of lanes that
  // were opened is the receiver's to tell.
  using Failed = std::function<void(wire::LinkFault fault, const std::string& why)>;

  PathSender(net::Loop& loop, membership::MeasurePath measure, std::uint32_t lanes,
             Duration peer_timeout, Failed failed);
  ~PathSender();

 private:
  class Load;
  struct Lane {
    std::unique_ptr<net::Dialer> dialer;
    std::unique_ptr<net::ControlChannel> channel;
    std::unique_ptr<Load> load;
    std::unique_ptr<net::BulkLane> lane;
  };
  void greet(std::size_t lane, net::FileDescriptor socket);
  void ready(std::size_t lane);
  void fail(const std::string& why);

  net::Loop& loop_;
  membership::MeasurePath measure_;
  Instant deadline_;  // of the handshakes
  Failed failed_;
  net::Loop::Timer timer_{loop_};
  std::vector<Lane> lanes_;
};

}  // namespace pccl::node
