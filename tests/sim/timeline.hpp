// Virtual time: what happens, in order of its instant. Events of one instant happen in the order in
// which they were asked for, so a run is a pure function of its seed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "base/time.hpp"

namespace pccl::sim {

using Action = std::function<void()>;

class Timeline {
 public:
  Instant now() const { return now_; }
  void at(Instant when, Action action) {
    events_.push_back({std::max(when, now_), count_++, std::move(action)});
    std::push_heap(events_.begin(), events_.end(), later);
  }
  void after(Duration delay, Action action) { at(now_ + delay, std::move(action)); }

  bool idle() const { return events_.empty(); }
  Instant next() const { return events_.front().when; }
  void step() {
    std::pop_heap(events_.begin(), events_.end(), later);
    const Event event = std::move(events_.back());
    events_.pop_back();
    now_ = event.when;
    ++steps_;
    event.action();
  }
  void advance(Instant to) { now_ = std::max(now_, to); }
  std::uint64_t steps() const { return steps_; }

 private:
  struct Event {
    Instant when;
    std::uint64_t order;
    Action action;
  };
  static bool later(const Event& a, const Event& b) {
    return a.when != b.when ? a.when > b.when : a.order > b.order;
  }

  Instant now_ = Instant{} + std::chrono::hours(1);
  std::vector<Event> events_;
  std::uint64_t count_ = 0, steps_ = 0;
};

}  // namespace pccl::sim
