// Many storms on several threads, one world each.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "sim/storm.hpp"

namespace pccl::sim {

struct Failure {
  std::uint64_t seed;
  StormResult result;
};

struct Summary {
  std::size_t storms = 0, ops = 0, committed = 0, syncs = 0, faults = 0, epochs = 0;
  std::uint64_t events = 0;
  double virtual_seconds = 0, seconds = 0;
  std::vector<Failure> failures;  // in order of their seeds
};

Summary run_storms(std::uint64_t first, std::uint64_t last, unsigned jobs,
                   const std::set<std::string>& only = {}, std::size_t failures_wanted = 20);
std::string describe(const Summary& summary);

}  // namespace pccl::sim
