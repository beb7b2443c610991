#include "shared_state/request_window.hpp"

#include <algorithm>

#include "shared_state/frames.hpp"

namespace pccl::shared_state {

namespace {

constexpr std::uint32_t blocks_at_first = 4;
// Of one holder: a gigabit per second over half a second's round trip.
constexpr std::uint32_t bytes_at_most = 64 << 20;
// A doubling has paid when the rate has risen by a quarter.
constexpr double worthwhile = 1.25;

}  // namespace

RequestWindow::RequestWindow(std::uint32_t block_bytes)
    : most_(std::clamp(bytes_at_most / block_bytes, 2U, requests_in_flight)),
      blocks_(std::min(blocks_at_first, most_)) {}

void RequestWindow::block_arrived(std::uint32_t bytes, Instant now) {
  if (!measuring_) {
    measuring_ = true;
    since_ = now;
    return;
  }
  ++arrived_;
  bytes_ += bytes;
  if (arrived_ < blocks_ || now <= since_) return;
  const double rate = static_cast<double>(bytes_) / seconds(now - since_);
  if (rate >= rate_before_ * worthwhile) {
    rate_before_ = rate;
    blocks_ = std::min(2 * blocks_, most_);
  }
  since_ = now;
  arrived_ = 0;
  bytes_ = 0;
}

}  // namespace pccl::shared_state
