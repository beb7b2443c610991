// A storm: at least 5 peers, 50 ops and 10 faults drawn from a seed, then calm, in which every run
// must complete.
#pragma once

#include <cstdint>
#include <set>
#include <string>

namespace pccl::sim {

struct StormOptions {
  std::uint64_t seed = 1;
  bool trace = false;
  std::set<std::string> only;  // faults by name; empty: all
};

struct StormResult {
  std::string invariant;  // the broken one; empty: all is well
  std::string text;
  std::uint64_t hash = 0;  // of everything that happened
  std::size_t peers = 0, ops = 0, committed = 0, syncs = 0, faults = 0, epochs = 0;
  std::uint64_t events = 0;
  double virtual_seconds = 0;

  bool ok() const { return invariant.empty(); }
};

StormResult run_storm(const StormOptions& options);
std::string replay_command(std::uint64_t seed);

}  // namespace pccl::sim
