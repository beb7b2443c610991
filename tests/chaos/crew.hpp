// The processes of a run: peers in their slots and a master; what can be done to them, and what
// they say.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "chaos/network.hpp"
#include "chaos/round.hpp"
#include "e2e/run.hpp"

namespace chaos {

using Clock = e2e::Clock;

struct Member {
  std::uint32_t id = 0, slot = 0;
  std::unique_ptr<e2e::Process> process;
  bool stopped = false, leaving = false;
  std::uint32_t world = 0;      // at its last sync
  std::uint64_t step = 0;       // of its last sync
  Clock::time_point progress;   // its last success of any kind, or its begin
  Clock::time_point synced;     // its last sync
  Clock::time_point disturbed;  // until then at least something was done to it
  std::uint64_t together = 0;   // syncs in the world of all, since the calm began
  std::string news;             // its last line that is neither launch nor success
};

struct CrewOptions {
  std::uint64_t run_seed = 0;
  double peer_timeout_s = 1.5;
  std::size_t largest_op_bytes = 4'000'000, state_bytes = 300'000;
  bool with_cuts = true;
};

class Crew {
 public:
  explicit Crew(const CrewOptions& options);

  Network& network() { return network_; }
  std::array<std::unique_ptr<Member>, slots>& members() { return members_; }
  std::vector<Member*> living();
  Member* at(std::uint32_t slot) { return members_[slot].get(); }

  void join(std::uint32_t slot);
  void kill(std::uint32_t slot);
  void stop(std::uint32_t slot);
  void go_on(std::uint32_t slot);
  void leave(std::uint32_t slot);
  void cut(std::size_t a, std::size_t b);
  void heal(std::size_t a, std::size_t b);
  bool is_cut(std::uint32_t slot) const;
  std::size_t cuts() const { return cuts_.size(); }
  void kill_master();
  void start_master();
  bool has_master() const { return has_master_; }
  Clock::time_point master_since() const { return master_since_; }
  void end_master();  // in peace

  // Everything that anybody has said; ends of processes, where nobody was told to end.
  using Listener = std::function<void(Member&, const e2e::Line&)>;
  void read_all(const Listener& listener);
  std::string transcripts(std::size_t most);

 private:
  void read(Member& member, const Listener& listener);
  void disturb(std::uint32_t slot);

  CrewOptions options_;
  Network network_;
  std::unique_ptr<e2e::LiveRun> run_;
  std::array<std::unique_ptr<Member>, slots> members_;
  std::vector<std::unique_ptr<Member>> gone_;  // with lines still unread
  std::vector<std::string> obituaries_;        // transcripts of the last dead
  std::vector<std::pair<std::size_t, std::size_t>> cuts_;
  std::uint32_t next_id_ = 1;
  bool has_master_ = true;
  Clock::time_point master_since_ = Clock::now();
};

}  // namespace chaos
