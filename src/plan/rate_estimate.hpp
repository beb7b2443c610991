// From bytes that arrive to the bandwidth of a path. Time is cut into windows; the estimate is
// *stable* when three of them have carried as much as the three before. So the ramp of a young
// connection is ridden out (each window carries more than the one before), and a steady path is
// measured in six windows.
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
  // Of the newest windows; before there is any: 0.
  double bits_per_s() const;

 private:
  struct Window {
    std::uint64_t bytes;
    double seconds;
  };
  double rate(std::size_t newest_to_skip, std::size_t windows) const;

  Duration window_;
  Instant last_;
  std::uint64_t counted_ = 0;
  std::vector<Window> windows_;
};

}  // namespace pccl::plan
