// Which algorithm an op takes: a pure function of what all members know, so all choose the same.
#pragma once

#include <cstddef>

#include "base/limits.hpp"

namespace pccl::plan {

// True when the inputs travel through the master in one round trip (star), false for the ring.
constexpr bool goes_through_master(std::size_t bytes) {
  return bytes <= limits::star_bytes;
}

}  // namespace pccl::plan
