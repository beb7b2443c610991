// storm --seed 1234 --trace          replays one storm, telling everything
// storm --seeds 1..10000 [--jobs 2]  runs many and sums up
//   --faults kill,freeze             only these faults
//   --mutant early_commit            with a planted bug (the binary `mutants` only)
#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "base/mutant.hpp"
#include "sim/many_storms.hpp"
#include "sim/mutants.hpp"

namespace {

using namespace pccl::sim;

int usage() {
  fmt::print(stderr,
             "usage: storm --seed N [--trace] | --seeds FIRST..LAST [--jobs N]  [--faults a,b] "
             "[--mutant name]\n");
  return 2;
}

int replay(StormOptions options) {
  std::printf("seed %llu\n", static_cast<unsigned long long>(options.seed));
  std::fflush(stdout);
  const StormResult result = run_storm(options);
  fmt::print(
      "seed {}: {} peers, {} ops ({} committed), {} syncs, {} faults, {} epochs, {} events, {:.1f} "
      "s of "
      "virtual time, trace {:016x}\n",
      options.seed, result.peers, result.ops, result.committed, result.syncs, result.faults,
      result.epochs, result.events, result.virtual_seconds, result.hash);
  if (result.ok()) return 0;
  fmt::print("{}\n", result.text);
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  StormOptions options;
  std::uint64_t first = 0, last = 0;
  unsigned jobs = 2;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const char* const value = i + 1 < argc ? argv[i + 1] : nullptr;
    if (word == "--trace") {
      options.trace = true;
      continue;
    }
    if (value == nullptr) return usage();
    ++i;
    if (word == "--seed") {
      options.seed = std::strtoull(value, nullptr, 10);
    } else if (word == "--seeds") {
      char* rest = nullptr;
      first = std::strtoull(value, &rest, 10);
      if (std::strncmp(rest, "..", 2) != 0) return usage();
      last = std::strtoull(rest + 2, nullptr, 10);
    } else if (word == "--jobs") {
      jobs = static_cast<unsigned>(std::strtoul(value, nullptr, 10));
    } else if (word == "--faults") {
      std::string names = value;
      for (std::size_t end; !names.empty(); names.erase(0, end == names.npos ? end : end + 1)) {
        end = names.find(',');
        options.only.insert(names.substr(0, end));
      }
    } else if (word == "--mutant") {
      if (!plant(value)) return usage();
    } else {
      return usage();
    }
  }
  if (last == 0) return replay(options);
  const Summary summary = run_storms(first, last, jobs, options.only);
  fmt::print("{}\n", describe(summary));
  for (const Failure& failure : summary.failures)
    fmt::print("seed {}: {}\n    {}\n", failure.seed, failure.result.text,
               replay_command(failure.seed));
  return summary.failures.empty() ? 0 : 1;
}
