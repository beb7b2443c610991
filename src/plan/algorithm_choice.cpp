#include "plan/algorithm_choice.hpp"

#include <algorithm>

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

double ring_seconds(std::size_t bytes, const Group& group) {
  const double rtt = seconds(group.rtt), steps = 2.0 * (group.world - 1);
  const double moved = steps / group.world * static_cast<double>(bytes);
  return rtt + steps * (rtt / 2 + ring_step_s) + moved / limits::ring_bytes_per_second;
}

Algorithm choose_algorithm(std::size_t bytes, const Group& group,
                           std::optional<std::size_t> star_up_to) {
  if (bytes > limits::star_bytes) return Algorithm::ring;
  const bool star =
      star_up_to ? bytes <= *star_up_to : star_seconds(bytes, group) <= ring_seconds(bytes, group);
  return star ? Algorithm::star : Algorithm::ring;
}

std::size_t largest_star(const Group& group, std::optional<std::size_t> star_up_to) {
  std::size_t star = 0, ring = limits::star_bytes + 1;
  while (star + 1 < ring) {
    const std::size_t middle = (star + ring) / 2;
    (choose_algorithm(middle, group, star_up_to) == Algorithm::star ? star : ring) = middle;
  }
  return star;
}

}  // namespace pccl::plan
