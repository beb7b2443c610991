#include "plan/rate_estimate.hpp"

#include <algorithm>
#include <span>

#include "base/limits.hpp"

namespace pccl::plan {

namespace {

constexpr Duration shortest_window = std::chrono::milliseconds(100);
constexpr std::size_t compared = 3;  // windows
// Difference between two of them: a part of the larger, and two packets (of 9000 bytes), which come
// just before a window ends or just after.
constexpr double tolerated_part = 0.04, tolerated_bytes = 2 * 9000;
constexpr std::size_t averaged_when_unstable = 5;

}  // namespace

RateEstimate::RateEstimate(Instant begin, Duration round_trip)
    : window_(std::max(shortest_window, round_trip)),
      last_(begin),
      latest_end_(begin + std::min(limits::path_load_time,
                                   limits::short_path_load_time +
                                       limits::path_load_round_trips * round_trip)) {}

void RateEstimate::delivered(std::uint64_t bytes_so_far, Instant now) {
  if (now <= last_) return;
  windows_.push_back({bytes_so_far - counted_, seconds(now - last_)});
  counted_ = bytes_so_far;
  last_ = now;
}

bool RateEstimate::stable() const {
  if (windows_.size() < compared) return false;
  const auto newest = std::span(windows_).last(compared);
  const auto [least, most] = std::ranges::minmax(newest, {}, &Window::bytes_per_s);
  return most.bytes > 0 && most.bytes_per_s() - least.bytes_per_s() <=
                               tolerated_part * most.bytes_per_s() + tolerated_bytes / most.seconds;
}

double RateEstimate::bits_per_s() const {
  const std::size_t wanted = stable() ? compared : averaged_when_unstable;
  double bytes = 0, time = 0;
  for (const Window& window : std::span(windows_).last(std::min(wanted, windows_.size()))) {
    bytes += static_cast<double>(window.bytes);
    time += window.seconds;
  }
  return time > 0 ? 8 * bytes / time : 0;
}

}  // namespace pccl::plan
