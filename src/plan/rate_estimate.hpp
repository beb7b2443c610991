// From bytes that arrive to the bandwidth of a path. Time is cut into windows; the estimate is
// *stable* when the newest three have each carried the same. So the ramp of a young connection is
// ridden out (each window carries more than the one before), and so is what may follow when it has
// sent too much at once (windows that carry now more, now less). Sums of several windows would not
// do: those of a ramp and of the slump behind it are equal at some time.
#pragma once

#include <cstdint>
#include <vector>

#include "base/time.hpp"

namespace pccl::plan {

class RateEstimate {
 public:
  // A window is no shorter than a round trip: within one, bytes come in bursts.
  RateEstimate(Instant begin, Duration round_trip);

  Instant window_ends() const { return last_ + window_; }
  void delivered(std::uint64_t bytes_so_far, Instant now);  // at the end of a window, or later

  bool stable() const;
  // A window that ends then or later is the last. A young connection's ramp takes round trips, so
  // this does, too.
  Instant latest_end() const { return latest_end_; }
  // Of the newest windows; before there is any: 0.
  double bits_per_s() const;

 private:
  struct Window {
    std::uint64_t bytes;
    double seconds;
    double bytes_per_s() const { return static_cast<double>(bytes) / seconds; }
  };

  Duration window_;
  Instant last_, latest_end_;
  std::uint64_t counted_ = 0;
  std::vector<Window> windows_;
};

}  // namespace pccl::plan
