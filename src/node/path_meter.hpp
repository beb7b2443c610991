// The receiving end of a path that is measured: takes the lanes in, asks for the round trip while
// nothing else moves, then for the load, and counts what arrives until the rate is steady. Nothing
// of it is kept. Runs while the loop is held.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "membership/peer_events.hpp"
#include "net/arrivals.hpp"
#include "net/bulk_lane.hpp"
#include "plan/rate_estimate.hpp"

namespace pccl::node {

class PathMeter {
 public:
  // Once, and it may destroy the meter.
  using Judged = std::function<void(const wire::PathMeasured& measured)>;

  PathMeter(net::Loop& loop, wire::PathWanted wanted, Duration peer_timeout, Judged judged);
  ~PathMeter();

  const wire::PathWanted& wanted() const { return wanted_; }
  // Why a lane is not let in; empty: it is.
  std::string refuses(const wire::PathHello& hello) const;
  void take(const wire::PathHello& hello,
            std::pair<net::Stream, std::vector<std::byte>> connection);

 private:
  class Sink;
  struct Lane {
    std::unique_ptr<Sink> sink;
    std::unique_ptr<net::BulkLane> lane;
    net::Arrivals arrivals;
  };
  void ask_for_round_trip();
  void hear(std::uint16_t lane);
  void ask_for_load();
  void look();
  void fail(wire::LinkFault fault, const std::string& why);
  void judge(const wire::PathMeasured& measured);

  net::Loop& loop_;
  wire::PathWanted wanted_;
  Judged judged_;
  net::Loop::Timer timer_{loop_};
  std::uint16_t expected_ = 0;  // lanes
  std::map<std::uint16_t, Lane> lanes_;

  std::optional<Instant> asked_;  // for a round trip that is under way
  int round_trips_ = 0;
  Duration round_trip_ = Duration::max();  // the shortest
  std::optional<plan::RateEstimate> estimate_;
};

}  // namespace pccl::node
