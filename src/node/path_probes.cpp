#include "node/path_probes.hpp"

#include <algorithm>
#include <utility>

#include "base/limits.hpp"

namespace pccl::node {

PathProbes::PathProbes(net::Loop& loop, std::uint32_t lanes, Duration peer_timeout,
                       Callbacks callbacks)
    : loop_(loop),
      lanes_(std::clamp(lanes, limits::least_path_lanes, limits::most_path_lanes)),
      peer_timeout_(peer_timeout),
      callbacks_(std::move(callbacks)) {}

void PathProbes::measure(const membership::MeasurePath& measure) {
  if (measure.wanted.outgoing) {
    sender_ = std::make_unique<PathSender>(
        loop_, measure, lanes_, peer_timeout_,
        [this, token = measure.wanted.token](wire::LinkFault fault, const std::string& why) {
          callbacks_.on_judged({.token = token, .fault = fault, .why = why});
        });
    return;
  }
  meter_ = std::make_unique<PathMeter>(loop_, measure.wanted, peer_timeout_, callbacks_.on_judged);
  callbacks_.ask_door_again();
}

void PathProbes::stop() {
  sender_.reset();
  meter_.reset();
}

void PathProbes::judge(Door& door, Door::VisitorId id, const wire::PathHello& hello) {
  // Of a measurement that is about to begin here, or of one that is over: the deadline tells.
  if (!meter_ || hello.token != meter_->wanted().token) return;
  if (const std::string why = meter_->refuses(hello); !why.empty()) return door.refuse(id, why);
  meter_->take(hello, door.admit(id));
}

}  // namespace pccl::node
