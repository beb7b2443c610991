// chaos --seed 4711 --seconds 120    a run of real processes through a storm of disturbances
//   --hours 8                        rounds of ten minutes with the seeds that follow, all night
//   --peers 10                       at most so many at a time
//   --no-cuts                        on the loopback even where paths can be cut
//   --log FILE                       what happened when; the evidence of a violation, too
//
// Exit code 1 after a violation: a promise was broken, or somebody was stuck.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

#include "chaos/mix.hpp"
#include "chaos/storm.hpp"

namespace {

using namespace chaos;
using namespace std::chrono_literals;

struct Options {
  std::uint64_t seed = 1;
  std::chrono::milliseconds lasting = 60s;
  std::chrono::milliseconds all_rounds = 0s;  // 0: one round
  std::uint32_t peers = slots;
  bool with_cuts = true;
  std::string log;
};

int usage() {
  std::fputs(
      "usage: chaos [--seed N] [--seconds S | --hours H] [--peers N] [--no-cuts] "
      "[--log FILE]\n",
      stderr);
  return 2;
}

bool parse(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--no-cuts") {
      options.with_cuts = false;
      continue;
    }
    if (++i == argc) return false;
    const auto milliseconds = [&](double unit) {
      return std::chrono::milliseconds(static_cast<std::int64_t>(std::atof(argv[i]) * unit));
    };
    if (word == "--seed")
      options.seed = std::strtoull(argv[i], nullptr, 10);
    else if (word == "--seconds")
      options.lasting = milliseconds(1000);
    else if (word == "--hours")
      options.all_rounds = milliseconds(3'600'000);
    else if (word == "--peers")
      options.peers = static_cast<std::uint32_t>(std::atoi(argv[i]));
    else if (word == "--log")
      options.log = argv[i];
    else
      return false;
  }
  if (options.all_rounds > 0s) options.lasting = std::min(options.all_rounds, 600'000ms);
  return options.peers >= 3 && options.peers <= slots;
}

int one_round(const Options& options, std::uint64_t seed, std::FILE* log) {
  StormOptions storm_options;
  storm_options.seed = seed;
  storm_options.lasting = options.lasting;
  storm_options.most_peers = options.peers;
  storm_options.log = log;
  storm_options.crew.run_seed = seed;
  storm_options.crew.peer_timeout_s = 1.5 * e2e::slack;
  storm_options.crew.with_cuts = options.with_cuts;
  storm_options.crew.state_bytes = std::size_t{20'000} << (2 * (mix(seed) % 4));  // to 1.3 MB
  storm_options.crew.largest_op_bytes = 4'000'000 / e2e::slack;
  Storm storm(storm_options);
  try {
    storm.run();
  } catch (const std::exception& violation) {
    std::printf("VIOLATION with seed %llu: %s\n%s\n%s\n", static_cast<unsigned long long>(seed),
                violation.what(), storm.summary().c_str(), storm.evidence(3000).c_str());
    if (log != nullptr)
      std::fprintf(log, "VIOLATION with seed %llu: %s\n%s\n", static_cast<unsigned long long>(seed),
                   violation.what(), storm.evidence(std::size_t{1} << 20).c_str());
    return 1;
  }
  std::printf("%s\n", storm.summary().c_str());
  std::fflush(stdout);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, options)) return usage();
  std::FILE* const log = options.log.empty() ? nullptr : std::fopen(options.log.c_str(), "w");
  const auto end = std::chrono::steady_clock::now() + options.all_rounds;
  std::uint64_t seed = options.seed;
  int code = 0;
  try {
    do {
      code = one_round(options, seed++, log);
    } while (code == 0 && std::chrono::steady_clock::now() < end);
  } catch (const std::exception& error) {
    std::printf("chaos: %s\n", error.what());
    code = 1;
  }
  if (log != nullptr) std::fclose(log);
  return code;
}
