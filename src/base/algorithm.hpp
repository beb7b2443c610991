// How the values of an all-reduce travel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace pccl {

enum class Algorithm : std::uint8_t {
  ring = 0,      // in segments, from neighbour to neighbour
  star = 1,      // through the master
  pairwise = 2,  // in segments: two peers exchange all they have
};
inline constexpr std::uint8_t algorithm_count = 3;

constexpr const char* name_of(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::star:
      return "star";
    case Algorithm::pairwise:
      return "pairwise";
    default:
      return "ring";
  }
}

// What the environment asks for in place of what is faster (PCCL_ALGORITHM).
struct AlgorithmWish {
  std::optional<std::size_t> star_up_to{};  // bytes; none: as the costs say
  std::optional<bool> pairwise{};           // where it is possible; none: as the costs say

  bool operator==(const AlgorithmWish&) const = default;
};

}  // namespace pccl
