// Time as the machines see it: an instant is an argument, never a clock that they read.
#pragma once

#include <chrono>

namespace pccl {

using Duration = std::chrono::nanoseconds;

// From the loop's steady clock in production, from the simulator in tests.
using Instant = std::chrono::time_point<std::chrono::steady_clock, Duration>;

inline double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace pccl
