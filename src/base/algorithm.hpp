// How the values of an all-reduce travel.
#pragma once

#include <cstdint>

namespace pccl {

enum class Algorithm : std::uint8_t {
  ring = 0,  // in segments, from neighbour to neighbour
  star = 1,  // through the master
};
inline constexpr std::uint8_t algorithm_count = 2;

constexpr const char* name_of(Algorithm algorithm) {
  return algorithm == Algorithm::star ? "star" : "ring";
}

}  // namespace pccl
