// The time that all processes of a test agree on.
#pragma once

#include <chrono>
#include <cstdint>

namespace e2e {

inline std::uint64_t now_ns() {  // CLOCK_MONOTONIC
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

}  // namespace e2e
