#include "plan/algorithm_choice.hpp"

#include <algorithm>
#include <limits>

#include "base/limits.hpp"

namespace pccl::plan {

namespace {

double line_of_master(double rtt) {
  return rtt > 0 ? std::clamp(assumed_bytes_under_way / rtt, slowest_line, fastest_line)
                 : fastest_line;
}

}  // namespace

double star_seconds(std::size_t bytes, const Group& group) {
  const double rtt = seconds(group.rtt);
  return rtt + 2.0 * group.world * static_cast<double>(bytes) / line_of_master(rtt);
}

double steps_seconds(std::size_t bytes, const Group& group, Algorithm algorithm) {
  const double rtt = seconds(group.rtt), whole = static_cast<double>(bytes);
  const bool pairwise = algorithm == Algorithm::pairwise;
  const double steps = pairwise ? 1 : 2.0 * (group.world - 1);
  const double moved = pairwise ? whole : steps / group.world * whole;
  const double added = pairwise ? whole : whole / group.world;
  return rtt + steps * (rtt / 2 + ring_step_s) + moved / limits::ring_bytes_per_second +
         added / added_bytes_per_second;
}

Algorithm choose_algorithm(std::size_t bytes, bool quantized, const Group& group,
                           const AlgorithmWish& wish) {
  const bool pairwise = bytes <= largest_pairwise(group, wish);
  const Algorithm between_peers = pairwise ? Algorithm::pairwise : Algorithm::ring;
  // Quantized or not, what the star takes is the same.
  const double without_star = steps_seconds(bytes, group, between_peers);
  const bool star =
      wish.star_up_to ? bytes <= *wish.star_up_to : star_seconds(bytes, group) <= without_star;
  if (star && bytes <= limits::star_bytes) return Algorithm::star;
  return quantized ? Algorithm::ring : between_peers;
}

std::size_t largest_star(const Group& group, const AlgorithmWish& wish) {
  std::size_t star = 0, other = limits::star_bytes + 1;
  while (star + 1 < other) {
    const std::size_t middle = (star + other) / 2;
    (choose_algorithm(middle, false, group, wish) == Algorithm::star ? star : other) = middle;
  }
  return star;
}

// Where both cost the same: pairwise saves one step of two and adds twice as many elements.
std::size_t largest_pairwise(const Group& group, const AlgorithmWish& wish) {
  if (group.world != 2 || wish.pairwise == false) return 0;
  if (wish.pairwise == true) return std::numeric_limits<std::size_t>::max();
  return static_cast<std::size_t>((seconds(group.rtt) / 2 + ring_step_s) * 2 *
                                  added_bytes_per_second);
}

}  // namespace pccl::plan
