// How many TCP connections a link has.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "base/limits.hpp"
#include "base/time.hpp"

namespace pccl::plan {

// One connection keeps no more under way than the kernel buffers for it, so long paths need more of
// them; beside that, a loss on one of many costs less.
inline std::uint32_t lanes_for(Duration rtt) {
  const double under_way = seconds(rtt) * limits::ring_bytes_per_second;
  const double lanes = std::ceil(under_way / limits::lane_bytes_under_way);
  return static_cast<std::uint32_t>(
      std::clamp<double>(lanes, limits::fewest_automatic_lanes, limits::most_automatic_lanes));
}

}  // namespace pccl::plan
