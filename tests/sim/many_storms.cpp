#include "sim/many_storms.hpp"

#include <fmt/format.h>

#include <unistd.h>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <mutex>
#include <thread>

namespace pccl::sim {

namespace {

thread_local std::uint64_t running_seed = 0;

// A broken PCCL_INVARIANT ends the process: say which seed did it.
void name_the_seed(int) {
  char text[160];
  const auto end = fmt::format_to_n(text, sizeof text, "\nseed {} died; replay: {}\n", running_seed,
                                    replay_command(running_seed));
  (void)!write(STDERR_FILENO, text, std::min(end.size, sizeof text));
  std::signal(SIGABRT, SIG_DFL);
  std::raise(SIGABRT);
}

}  // namespace

Summary run_storms(std::uint64_t first, std::uint64_t last, unsigned jobs,
                   const std::set<std::string>& only, std::size_t failures_wanted) {
  std::signal(SIGABRT, name_the_seed);
  Summary summary;
  std::mutex guard;
  std::atomic<std::uint64_t> next = first;
  std::atomic<bool> enough = false;
  const auto start = std::chrono::steady_clock::now();
  const auto work = [&] {
    for (std::uint64_t seed = next++; seed <= last && !enough; seed = next++) {
      running_seed = seed;
      StormResult result = run_storm({.seed = seed, .only = only});
      const std::lock_guard lock(guard);
      ++summary.storms;
      summary.ops += result.ops;
      summary.committed += result.committed;
      summary.faults += result.faults;
      summary.epochs += result.epochs;
      summary.syncs += result.syncs;
      summary.events += result.events;
      summary.virtual_seconds += result.virtual_seconds;
      if (result.ok()) continue;
      summary.failures.push_back({seed, std::move(result)});
      enough = summary.failures.size() >= failures_wanted;
    }
  };
  std::vector<std::jthread> threads;
  for (unsigned n = 1; n < jobs; ++n) threads.emplace_back(work);
  work();
  threads.clear();
  summary.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::sort(summary.failures.begin(), summary.failures.end(),
            [](const Failure& a, const Failure& b) { return a.seed < b.seed; });
  return summary;
}

std::string describe(const Summary& summary) {
  return fmt::format(
      "{} storms in {:.1f} s: {} ops ({} committed), {} syncs, {} faults, {} epochs, {} events, "
      "{:.1f} hours "
      "of virtual time, {} violations",
      summary.storms, summary.seconds, summary.ops, summary.committed, summary.syncs,
      summary.faults, summary.epochs, summary.events, summary.virtual_seconds / 3600,
      summary.failures.size());
}

}  // namespace pccl::sim
