#include "plan/rate_estimate.hpp"

#include <algorithm>

namespace pccl::plan {

namespace {

constexpr Duration shortest_window = std::chrono::milliseconds(100);
constexpr std::size_t compared = 3;  // windows
constexpr double tolerated = 0.04;   // difference, in parts of the larger
constexpr std::size_t averaged_when_unstable = 5;

}  // namespace

RateEstimate::RateEstimate(Instant begin, Duration round_trip)
    : window_(std::max(shortest_window, round_trip)), last_(begin) {}

void RateEstimate::delivered(std::uint64_t bytes_so_far, Instant now) {
  if (now <= last_) return;
  windows_.push_back({bytes_so_far - counted_, seconds(now - last_)});
  counted_ = bytes_so_far;
  last_ = now;
}

bool RateEstimate::stable() const {
  if (windows_.size() < 2 * compared) return false;
  const double newer = rate(0, compared), older = rate(compared, compared);
  return newer > 0 &&
         std::max(newer, older) - std::min(newer, older) <= tolerated * std::max(newer, older);
}

double RateEstimate::bits_per_s() const {
  return rate(0, stable() ? compared : averaged_when_unstable);
}

double RateEstimate::rate(std::size_t newest_to_skip, std::size_t windows) const {
  double bytes = 0, time = 0;
  for (std::size_t back = newest_to_skip; back < windows_.size() && windows > 0;
       ++back, --windows) {
    const Window& window = windows_[windows_.size() - 1 - back];
    bytes += static_cast<double>(window.bytes);
    time += window.seconds;
  }
  return time > 0 ? 8 * bytes / time : 0;
}

}  // namespace pccl::plan
