// A run of the chaos test: a storm of disturbances, interrupted by calm in which all peers have to
// succeed together, and ended by it.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "chaos/checker.hpp"
#include "chaos/crew.hpp"
#include "chaos/schedule.hpp"

namespace chaos {

struct StormOptions {
  std::uint64_t seed = 1;
  std::chrono::milliseconds lasting{};
  std::chrono::milliseconds calm_every = std::chrono::minutes(1);
  std::uint32_t most_peers = slots;
  CrewOptions crew;
  std::FILE* log = nullptr;
};

class Storm {
 public:
  explicit Storm(const StormOptions& options);

  void run();  // throws Violation
  std::string summary() const;
  // What to look at after a violation: the last actions, what each peer was at, all transcripts.
  std::string evidence(std::size_t most_of_each);

 private:
  struct Undo {
    Clock::time_point at;
    std::function<void()> what;
    std::string text;
  };

  void storm_until(Clock::duration until);
  void calm();
  void pass();  // reads, checks, watches
  void listen(Member& member, const e2e::Line& line);
  void watch();
  void undo_due(bool all);

  bool apply(const Action& action);  // false: not at this moment
  bool join(std::uint32_t slot);
  bool stop(const Action& action);
  bool kill_master(const Action& action);
  bool cut_pair(const Action& action);
  bool can_spare(const Member* member);
  void later(const Action& action, std::string text, std::function<void()> what);
  bool is_solid(const Member& member) const;
  void note(const std::string& text);
  double seconds() const;

  StormOptions options_;
  std::chrono::milliseconds unit_;  // the peer timeout
  Clock::duration bound_;           // without any success
  Crew crew_;
  Checker checker_;
  Schedule schedule_;
  Clock::time_point begin_ = Clock::now();
  std::vector<Undo> undos_;
  std::deque<std::string> actions_;  // the last ones
  std::uint64_t done_ = 0, skipped_ = 0, calms_ = 0, removals_ = 0, master_kills_ = 0;
  Clock::duration stormed_{}, longest_wait_{}, longest_calm_{};
};

}  // namespace chaos
