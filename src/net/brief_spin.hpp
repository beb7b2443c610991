// Looking again for a moment before going to sleep: to be woken costs a few tens of microseconds,
// more than much of what an op waits for on short paths. How long waits are is not known before, so
// what came of the last ones decides: after a look in vain the next wait sleeps at once, then the
// next two, four, eight. Each look yields first, so that a core goes to whoever else wants it.
#pragma once

#include <sched.h>

#include <algorithm>
#include <chrono>

#include "base/time.hpp"

namespace pccl::net {

class BriefSpin {
 public:
  using Clock = Instant (*)();
  explicit BriefSpin(
      Clock clock = [] { return std::chrono::steady_clock::now(); },
      void (*yield)() = [] { sched_yield(); })
      : clock_(clock), yield_(yield) {}

  // Asks `ready` again and again; false: in vain, or not worth it now.
  template <typename Ready>
  bool until(Ready ready) {
    if (asleep_ > 0) {
      --asleep_;
      return false;
    }
    if (look(ready)) {
      sleeps_after_failure_ = 1;
      return true;
    }
    asleep_ = sleeps_after_failure_;
    sleeps_after_failure_ = std::min(2 * sleeps_after_failure_, most_sleeps);
    return false;
  }

 private:
  static constexpr std::chrono::microseconds longest{150};
  static constexpr int most_sleeps = 8;

  template <typename Ready>
  bool look(Ready ready) {
    const Instant end = clock_() + longest;
    do {
      yield_();
      if (ready()) return true;
    } while (clock_() < end);
    return false;
  }

  Clock clock_;
  void (*yield_)();
  int asleep_ = 0;  // waits that are still to be slept through
  int sleeps_after_failure_ = 1;
};

}  // namespace pccl::net
