// A peer's part in pcclOptimizeTopology: it sends on one path and measures another as it is told,
// and says what came of it.
#include "membership/peer_machine.hpp"

namespace pccl::membership {

void PeerMachine::on_path_wanted(const wire::PathWanted& wanted) {
  if (!call_ || call_->what != wire::CallKind::optimize_topology || call_->call != wanted.call)
    return;
  measuring_[wanted.outgoing] = wanted.token;
  effects_.push_back(MeasurePath{self_, wanted});
}

// What was replaced since is of no interest any more.
void PeerMachine::on(const PathJudged& event) {
  for (const auto& [outgoing, token] : measuring_)
    if (token == event.measured.token) return send(event.measured);
}

void PeerMachine::stop_measuring() {
  if (measuring_.empty()) return;
  measuring_.clear();
  effects_.push_back(StopMeasuring{});
}

}  // namespace pccl::membership
