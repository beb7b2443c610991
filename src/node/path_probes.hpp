// What a peer measures of the paths between peers: at most one path that it sends on and one that
// it receives on at a time. Runs while the loop is held.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "node/door.hpp"
#include "node/path_meter.hpp"
#include "node/path_sender.hpp"

namespace pccl::node {

class PathProbes {
 public:
  struct Callbacks {
    std::function<void(const wire::PathMeasured&)> on_judged;
    std::function<void()> ask_door_again;  // somebody may have come before it was known here
  };

  // `lanes`: of a link.
  PathProbes(net::Loop& loop, std::uint32_t lanes, Duration peer_timeout, Callbacks callbacks);

  void measure(const membership::MeasurePath& measure);
  void stop();
  void judge(Door& door, Door::VisitorId id, const wire::PathHello& hello);

 private:
  net::Loop& loop_;
  std::uint32_t lanes_;
  Duration peer_timeout_;
  Callbacks callbacks_;
  std::unique_ptr<PathSender> sender_;
  std::unique_ptr<PathMeter> meter_;
};

}  // namespace pccl::node
