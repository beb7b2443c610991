// Do peers that start at the same instant all find together, every time, and how long does it take?
// And: do many async all-reduces complete when every peer launches them in another order?
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "common/child.hpp"
#include "common/pccl_run.hpp"
#include "common/results.hpp"
#include "common/statistics.hpp"

namespace {

struct Options {
  int world = 3, rounds = 50, ops = 32, round_limit_s = 20;
  unsigned seed = 1;
  std::string json = "-";
  std::string peer_task;  // this process is a peer: "join" or "async"
  int rank = 0;
  std::uint16_t master_port = 0;
  int gate = -1, report = -1;
};

double milliseconds_since(std::chrono::steady_clock::time_point start) {
  const auto passed = std::chrono::steady_clock::now() - start;
  return std::chrono::duration<double, std::milli>(passed).count();
}

// ---- A peer -------------------------------------------------------------------------------------

struct Reduction {
  std::vector<float> input, output;
  pcclReduceDescriptor_t descriptor{};
  pcclAsyncReduceOp_t handle{};

  Reduction(int tag, int rank, int round) {
    // From one element to a quarter of a million: through the master, through one segment, through
    // several.
    const std::size_t count = std::size_t{1} << (tag % 10 * 2);
    output.resize(count);
    for (std::size_t i = 0; i < count; ++i) input.push_back(value(i, tag, rank, round));
    descriptor = bench::float_sum(count, static_cast<std::uint64_t>(tag));
  }
  static float value(std::size_t index, int tag, int rank, int round) {
    return static_cast<float>(index % 97 + static_cast<std::size_t>(tag * 3 + rank * 5 + round));
  }
  bool correct(int world, int tag, int round) const {
    for (std::size_t i = 0; i < output.size(); ++i) {
      float sum = 0;
      for (int rank = 0; rank < world; ++rank) sum += value(i, tag, rank, round);
      if (output[i] != sum) return false;
    }
    return true;
  }
};

// Launches in a random order of its own, awaits in another.
void async_round(const Options& options, const bench::Peer& peer, int round, std::mt19937& random) {
  std::vector<Reduction> reductions;
  for (int tag = 0; tag < options.ops; ++tag) reductions.emplace_back(tag, options.rank, round);
  std::vector<std::size_t> order(reductions.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::shuffle(order.begin(), order.end(), random);
  for (const std::size_t i : order) {
    Reduction& reduction = reductions[i];
    peer.require(pcclAllReduceAsync(reduction.input.data(), reduction.output.data(),
                                    &reduction.descriptor, peer.comm(), &reduction.handle),
                 "pcclAllReduceAsync");
  }
  std::shuffle(order.begin(), order.end(), random);
  for (const std::size_t i : order) {
    peer.require(pcclAwaitAsyncReduce(&reductions[i].handle, nullptr), "pcclAwaitAsyncReduce");
    if (reductions[i].correct(options.world, static_cast<int>(i), round)) continue;
    std::fprintf(stderr, "rank %d, round %d: op %zu has a wrong result\n", options.rank, round, i);
    std::exit(1);
  }
}

int run_peer(const Options& options) {
  bench::Peer peer(options.master_port);
  char byte;
  if (read(options.gate, &byte, 1) != 0)
    return 1;  // the gate opens for all when its other end closes
  const auto start = std::chrono::steady_clock::now();
  peer.connect();
  peer.gather(options.world);
  const double joined = milliseconds_since(start);
  std::mt19937 random(options.seed * 1000 + static_cast<unsigned>(options.rank));
  if (options.peer_task == "join") {
    async_round({.world = options.world, .ops = 1, .rank = options.rank}, peer, 0, random);
    dprintf(options.report, "%.3f\n", joined);
    return 0;
  }
  for (int round = 0; round < options.rounds; ++round) {
    const auto begin = std::chrono::steady_clock::now();
    async_round(options, peer, round, random);
    dprintf(options.report, "%.3f\n", milliseconds_since(begin));
  }
  return 0;
}

// ---- The parent ---------------------------------------------------------------------------------

// One run of all peers from the gate to their end. Appends what they report; false when one failed
// or hung.
bool run_group(const Options& options, const std::string& task, int limit_s,
               std::vector<double>& times) {
  int gate[2], report[2];
  if (pipe2(gate, O_CLOEXEC) != 0 || pipe2(report, O_CLOEXEC) != 0) {
    std::perror("pipe2");
    std::exit(1);
  }
  const bench::LocalMaster master;
  bench::Children peers;
  for (int rank = 0; rank < options.world; ++rank) {
    peers.start_self(
        {"--task", task, "--rank", std::to_string(rank), "--world", std::to_string(options.world),
         "--rounds", std::to_string(options.rounds), "--ops", std::to_string(options.ops), "--seed",
         std::to_string(options.seed), "--master-port", std::to_string(master.port()), "--gate",
         std::to_string(gate[0]), "--report", std::to_string(report[1])},
        {gate[0], report[1]});
  }
  close(gate[0]);
  close(report[1]);
  usleep(20'000);  // all of them stand at the gate
  close(gate[1]);
  const bool good = peers.all_succeed_within(std::chrono::seconds(limit_s));
  if (good) {
    FILE* const reports = fdopen(report[0], "r");
    for (double time; std::fscanf(reports, "%lf", &time) == 1;) times.push_back(time);
    std::fclose(reports);
  } else {
    close(report[0]);
  }
  return good;
}

void show(const Options& options, const char* what, int failed, const std::vector<double>& times) {
  std::printf("%s: %d rounds, %d failed; median %.1f ms, p95 %.1f ms, maximum %.1f ms\n", what,
              options.rounds, failed, bench::median(times), bench::quantile(times, 0.95),
              bench::quantile(times, 1));
  std::fflush(stdout);
  char text[256];
  std::snprintf(
      text, sizeof text,
      "\"benchmark\":\"start_up\",\"part\":\"%s\",\"world\":%d,\"rounds\":%d,\"failed\":%d,"
      "\"median_ms\":%.2f,\"p95_ms\":%.2f,\"max_ms\":%.2f",
      what, options.world, options.rounds, failed, bench::median(times),
      bench::quantile(times, 0.95), bench::quantile(times, 1));
  bench::record(options.json, text);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Peers that start together, and async all-reduces launched in any order");
  app.add_option("-n,--world", options.world, "peers")->check(CLI::Range(2, 32));
  app.add_option("--rounds", options.rounds, "of each part");
  app.add_option("--ops", options.ops, "async all-reduces in flight")->check(CLI::Range(1, 1024));
  app.add_option("--seed", options.seed, "of the launch orders");
  app.add_option("--round-limit", options.round_limit_s, "seconds that count as a hang");
  app.add_option("--json", options.json, "append a line per part to this file");
  app.add_option("--task", options.peer_task)->group("");
  app.add_option("--rank", options.rank)->group("");
  app.add_option("--master-port", options.master_port)->group("");
  app.add_option("--gate", options.gate)->group("");
  app.add_option("--report", options.report)->group("");
  CLI11_PARSE(app, argc, argv);
  if (!options.peer_task.empty()) return run_peer(options);

  std::vector<double> joins, rounds;
  int failed_joins = 0;
  for (int round = 0; round < options.rounds; ++round) {
    failed_joins += !run_group(options, "join", options.round_limit_s, joins);
  }
  show(options, "join", failed_joins, joins);
  const bool all_done = run_group(options, "async", options.round_limit_s * 5, rounds);
  show(options, "async", all_done ? 0 : options.rounds, rounds);
  return failed_joins == 0 && all_done ? 0 : 1;
}
