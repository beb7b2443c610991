#include "node/path_meter.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/limits.hpp"

namespace pccl::node {

namespace {
constexpr int round_trips_wanted = 3;  // the shortest of them had no queue in its way
}

// Asks for the load, and takes it: that it has come is all that counts.
class PathMeter::Sink final : public net::LaneClient {
 public:
  void ask() { asks_ = true; }

  std::optional<wire::BulkHeader> next_frame() override {
    if (!std::exchange(asks_, false)) return std::nullopt;
    asked_ = true;
    return wire::BulkHeader{.kind = wire::BulkKind::load_wanted};
  }
  std::span<const std::byte> payload(const wire::BulkHeader&, std::size_t) override { return {}; }
  void frame_sent(const wire::BulkHeader&) override {}
  bool frame_begins(const wire::BulkHeader& frame, std::string& why) override {
    if (frame.kind == wire::BulkKind::load && asked_) return true;
    why = "protocol error: only load comes on a path that is measured, and when asked for";
    return false;
  }
  std::span<std::byte> destination(const wire::BulkHeader&, std::size_t) override { return {}; }
  void frame_arrived(const wire::BulkHeader&) override {}

 private:
  bool asks_ = false, asked_ = false;
};

PathMeter::PathMeter(net::Loop& loop, wire::PathWanted wanted, Duration peer_timeout, Judged judged)
    : loop_(loop), wanted_(std::move(wanted)), judged_(std::move(judged)) {
  // The other side knows better why it cannot come, and says so within one peer timeout.
  timer_.set(net::Loop::now() + 2 * peer_timeout,
             [this] { fail(wire::LinkFault::unanswered, "the other side said nothing in time"); });
}

PathMeter::~PathMeter() = default;

std::string PathMeter::refuses(const wire::PathHello& hello) const {
  if (hello.from != wanted_.other.peer)
    return fmt::format("peer {} is not who sends on this path", short_name(hello.from));
  if (hello.lanes < 1 || hello.lanes > limits::most_path_lanes || hello.lane >= hello.lanes ||
      (expected_ != 0 && hello.lanes != expected_) || lanes_.contains(hello.lane))
    return "protocol error: lane numbers";
  return judged_ ? "" : "it has been measured";
}

void PathMeter::take(const wire::PathHello& hello,
                     std::pair<net::Stream, std::vector<std::byte>> connection) {
  expected_ = hello.lanes;
  Lane& mine = lanes_[hello.lane];
  mine.sink = std::make_unique<Sink>();
  mine.lane = std::make_unique<net::BulkLane>(
      std::move(connection.first), std::move(connection.second), *mine.sink,
      net::BulkLane::Callbacks{
          [this, lane = hello.lane] { hear(lane); },
          [this](const std::string& why) { fail(wire::LinkFault::broke, why); }});
  mine.lane->start();
  if (lanes_.size() == expected_) ask_for_round_trip();
}

void PathMeter::ask_for_round_trip() {
  asked_ = net::Loop::now();
  lanes_.begin()->second.lane->ping();
}

void PathMeter::hear(std::uint16_t lane) {
  const Instant now = net::Loop::now();
  if (!asked_ || lane != lanes_.begin()->first ||
      lanes_.begin()->second.lane->unanswered(now) > Duration{0})
    return;
  round_trip_ = std::min(round_trip_, now - *std::exchange(asked_, std::nullopt));
  if (++round_trips_ < round_trips_wanted) return ask_for_round_trip();
  ask_for_load();
}

void PathMeter::ask_for_load() {
  estimate_.emplace(net::Loop::now(), round_trip_);
  for (auto& [number, lane] : lanes_) {
    lane.arrivals.look(lane.lane->received());
    lane.sink->ask();
  }
  timer_.set(estimate_->window_ends(), [this] { look(); });
  for (const auto& [number, lane] : lanes_) lane.lane->kick();
}

void PathMeter::look() {
  const Instant now = net::Loop::now();
  std::uint64_t bytes = 0;
  for (auto& [number, lane] : lanes_) {
    lane.arrivals.look(lane.lane->received());
    bytes += lane.arrivals.bytes();
  }
  estimate_->delivered(bytes, now);
  if (!estimate_->stable() && now < estimate_->latest_end())
    return timer_.set(estimate_->window_ends(), [this] { look(); });
  const auto rate = static_cast<std::uint64_t>(estimate_->bits_per_s());
  if (rate == 0) return fail(wire::LinkFault::unanswered, "nothing has arrived");
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(round_trip_).count();
  judge({.token = wanted_.token,
         .bits_per_s = rate,
         .round_trip_us = static_cast<std::uint32_t>(std::clamp<std::int64_t>(micros, 1, 1U << 31)),
         .why = {}});
}

void PathMeter::fail(wire::LinkFault fault, const std::string& why) {
  judge({.token = wanted_.token, .fault = fault, .why = why});
}

void PathMeter::judge(const wire::PathMeasured& measured) {
  if (!judged_) return;
  const Judged judged = std::exchange(judged_, nullptr);
  timer_.cancel();
  asked_.reset();
  const wire::PathMeasured result = measured;  // its words may belong to what is closed now
  const auto closed = std::exchange(lanes_, {});
  judged(result);
}

}  // namespace pccl::node
