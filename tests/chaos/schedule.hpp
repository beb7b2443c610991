// The disturbances of a run, from its seed alone: what is to be done when, to whom, for how long.
// Whether it can be done at that moment is for the run to say; it skips what would leave too few.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <string>

#include "chaos/round.hpp"

namespace chaos {

enum class Deed { kill, stop, leave, join, kill_master, cut_pair, cut_from_master };

struct Action {
  std::chrono::milliseconds at{};  // since the begin of the run
  Deed deed = Deed::join;
  std::uint32_t slot = 0, other = 0;  // other: the far end of a path
  std::chrono::milliseconds lasting{};

  std::string text() const;
};

class Schedule {
 public:
  // `unit` is the peer timeout, by which it matters how long something lasts.
  Schedule(std::uint64_t seed, std::chrono::milliseconds unit, bool with_cuts);

  const Action& next() const { return next_; }
  void advance();

 private:
  std::mt19937_64 random_;
  std::chrono::milliseconds unit_;
  bool with_cuts_;
  Action next_;
};

}  // namespace chaos
