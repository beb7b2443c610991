// How many blocks one holder may owe a fetcher: a few at first, twice as many each time that the
// last doubling has paid. So a window covers the round trip of its path and no more, and little is
// owed by a slow holder when the others have run out of work.
#pragma once

#include <cstdint>

#include "base/time.hpp"

namespace pccl::shared_state {

class RequestWindow {
 public:
  explicit RequestWindow(std::uint32_t block_bytes);

  std::uint32_t blocks() const { return blocks_; }
  void block_arrived(std::uint32_t bytes, Instant now);

 private:
  std::uint32_t most_;
  std::uint32_t blocks_;
  double rate_before_ = 0;  // bytes per second, when the window was last doubled
  // A round: as many arrivals as the window has blocks.
  bool measuring_ = false;
  Instant since_{};
  std::uint32_t arrived_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace pccl::shared_state
