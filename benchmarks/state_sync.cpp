// How fast is a sync of the shared state? Two peers, a holder and one that joins with other
// content, beside what the machine gives without a library: a bare loop in which one process hashes
// and sends the same memory while the other receives and hashes it, and a plain read of it by both
// at once. The two take turns; figures are medians over rounds, ratios medians of the ratios within
// a round.
#define XXH_INLINE_ALL
#include <fcntl.h>
#include <unistd.h>
#include <xxhash.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <string>
#include <vector>

#include "common/child.hpp"
#include "common/pccl_run.hpp"
#include "common/results.hpp"
#include "common/sockets.hpp"
#include "common/statistics.hpp"

namespace {

constexpr std::size_t block_bytes = 256 << 10;

struct Options {
  std::size_t bytes = 512 << 20;
  int tensors = 50, rounds = 7, timeout_s = 300;
  std::string json = "-";
  std::string role;  // of this process: holder or joiner
  std::uint16_t master_port = 0;
  int other = -1, report = -1;
};

double seconds_of(const auto& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

class Side {
 public:
  explicit Side(const Options& options)
      : options_(options),
        holds_(options.role == "holder"),
        peer_(options.master_port),
        memory_(options.bytes / static_cast<std::size_t>(options.tensors) *
                static_cast<std::size_t>(options.tensors)) {
    const std::size_t tensor_bytes = memory_.size() / static_cast<std::size_t>(options.tensors);
    for (int i = 0; i < options.tensors; ++i) names_.push_back("tensor" + std::to_string(i));
    for (std::size_t i = 0; i < names_.size(); ++i)
      infos_.push_back({names_[i].c_str(), memory_.data() + i * tensor_bytes,
                        tensor_bytes / sizeof(float), pcclFloat, pcclDeviceCpu, false});
    std::fill(memory_.begin(), memory_.end(), holds_ ? 1 : 2);
    peer_.connect();
    peer_.gather(2);
  }

  int run() {
    for (int round = 0; round <= options_.rounds; ++round) {
      const double bare = measure([&] { bare_transfer(); });
      spoil(block_bytes);
      const double join = measure([&] { sync(); });
      spoil(100 * block_bytes);
      const double dirty = measure([&] { sync(); });
      const double read = measure([&] { plain_read(); });
      const double no_op = measure([&] { sync(); });
      if (round > 0 && !holds_)  // the first one warms up
        dprintf(options_.report, "%.9f %.9f %.9f %.9f %.9f\n", bare, join, dirty, read, no_op);
    }
    return std::all_of(memory_.begin(), memory_.end(), [](unsigned char byte) { return byte == 1; })
               ? 0
               : 1;
  }

 private:
  // Both begin at the same moment.
  double measure(const auto& work) {
    char token = 'x';
    bench::write_all(options_.other, &token, 1);
    bench::read_all(options_.other, &token, 1);
    return seconds_of(work);
  }

  // The joiner's content differs in one byte of every `every`.
  void spoil(std::size_t every) {
    if (holds_) return;
    for (std::size_t at = 0; at < memory_.size(); at += every) memory_[at] = 2;
  }

  void sync() {
    pcclSharedState_t state{holds_ ? ++revision_ : 0, infos_.size(), infos_.data()};
    peer_.require(
        pcclSynchronizeSharedState(peer_.comm(), &state,
                                   PCCL_SHARED_STATE_SYNC_STRATEGY_ENFORCE_POPULAR, nullptr),
        "pcclSynchronizeSharedState");
  }

  void bare_transfer() {
    for (std::size_t at = 0; at < memory_.size(); at += block_bytes) {
      const std::size_t size = std::min(block_bytes, memory_.size() - at);
      if (holds_) {
        digest_ = digest_ ^ XXH3_128bits(memory_.data() + at, size).low64;
        bench::write_all(options_.other, memory_.data() + at, size);
      } else {
        bench::read_all(options_.other, memory_.data() + at, size);
        digest_ = digest_ ^ XXH3_128bits(memory_.data() + at, size).low64;
      }
    }
  }

  void plain_read() {
    const auto* const words = reinterpret_cast<const std::uint64_t*>(memory_.data());
    std::array<std::uint64_t, 8> sums{};
    for (std::size_t i = 0; i + 8 <= memory_.size() / 8; i += 8)
      for (std::size_t lane = 0; lane < 8; ++lane) sums[lane] += words[i + lane];
    digest_ = digest_ ^ std::accumulate(sums.begin(), sums.end(), std::uint64_t{0});
  }

  const Options& options_;
  bool holds_;
  bench::Peer peer_;
  std::vector<unsigned char> memory_;
  std::vector<std::string> names_;
  std::vector<pcclTensorInfo_t> infos_;
  std::uint64_t revision_ = 0;
  volatile std::uint64_t digest_ = 0;  // so that no loop is left out
};

struct Round {
  double bare, join, dirty, read, no_op;
};

std::vector<Round> measure(const Options& options) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    std::perror("pipe2");
    std::exit(1);
  }
  const auto [holder_end, joiner_end] = bench::connected_pair();
  const bench::LocalMaster master;
  bench::Children peers;
  for (const auto& [role, end] : {std::pair{"holder", holder_end}, std::pair{"joiner", joiner_end}})
    peers.start_self({"--role", role, "--bytes", std::to_string(options.bytes), "--tensors",
                      std::to_string(options.tensors), "--rounds", std::to_string(options.rounds),
                      "--master-port", std::to_string(master.port()), "--other",
                      std::to_string(end), "--report", std::to_string(ends[1])},
                     {end, ends[1]});
  for (const int fd : {holder_end, joiner_end, ends[1]}) close(fd);
  if (!peers.all_succeed_within(std::chrono::seconds(options.timeout_s))) std::exit(1);
  std::vector<Round> rounds;
  FILE* const reports = fdopen(ends[0], "r");
  for (Round round{}; std::fscanf(reports, "%lf %lf %lf %lf %lf", &round.bare, &round.join,
                                  &round.dirty, &round.read, &round.no_op) == 5;)
    rounds.push_back(round);
  std::fclose(reports);
  if (rounds.empty()) std::exit(1);
  return rounds;
}

template <typename Value>
double median_of(const std::vector<Round>& rounds, Value value) {
  std::vector<double> values;
  for (const Round& round : rounds) values.push_back(value(round));
  return bench::median(std::move(values));
}

bool show(const Options& options, const std::vector<Round>& rounds) {
  const double gb = static_cast<double>(options.bytes) * 1e-9;
  const auto line = [&](const char* what, auto time) {
    const double seconds = median_of(rounds, time);
    std::printf("%-46s %8.1f ms  %7.2f GB/s\n", what, seconds * 1e3, gb / seconds);
    return seconds;
  };
  line("bare loop: hash, send, receive, hash", [](const Round& r) { return r.bare; });
  line("sync of a joiner, every block differs", [](const Round& r) { return r.join; });
  line("plain read, both at once", [](const Round& r) { return r.read; });
  line("sync, nothing differs", [](const Round& r) { return r.no_op; });
  const double no_op = median_of(rounds, [](const Round& r) { return r.no_op; });
  const double dirty =
      line("sync, 1% of the blocks differ", [](const Round& r) { return r.dirty; });
  const double join_ratio = median_of(rounds, [](const Round& r) { return r.bare / r.join; });
  const double no_op_ratio = median_of(rounds, [](const Round& r) { return r.read / r.no_op; });
  std::printf("  %-6s join / bare loop >= 0.8:      %.2f\n", join_ratio >= 0.8 ? "met" : "MISSED",
              join_ratio);
  std::printf("  %-6s no-op / plain read >= 0.8:    %.2f\n", no_op_ratio >= 0.8 ? "met" : "MISSED",
              no_op_ratio);
  std::printf("         1%% dirty less a no-op:       %.1f ms\n", (dirty - no_op) * 1e3);
  char text[400];
  std::snprintf(text, sizeof text,
                "\"benchmark\":\"state_sync\",\"bytes\":%zu,\"tensors\":%d,\"bare_s\":%.5f,"
                "\"join_s\":%.5f,\"dirty_s\":%.5f,\"read_s\":%.5f,\"no_op_s\":%.5f,"
                "\"join_ratio\":%.3f,\"no_op_ratio\":%.3f",
                options.bytes, options.tensors, median_of(rounds, [](auto& r) { return r.bare; }),
                median_of(rounds, [](auto& r) { return r.join; }), dirty,
                median_of(rounds, [](auto& r) { return r.read; }), no_op, join_ratio, no_op_ratio);
  bench::record(options.json, text);
  return join_ratio >= 0.8 && no_op_ratio >= 0.8;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Speed of pcclSynchronizeSharedState between two peers on this machine");
  app.add_option("--bytes", options.bytes, "of the state")->transform(CLI::AsSizeValue(false));
  app.add_option("--tensors", options.tensors, "float32 tensors of the same size");
  app.add_option("--rounds", options.rounds, "of all measurements, in turns");
  app.add_option("--timeout", options.timeout_s, "seconds until the run is given up");
  app.add_option("--json", options.json, "append a line to this file");
  app.add_option("--role", options.role)->group("");
  app.add_option("--master-port", options.master_port)->group("");
  app.add_option("--other", options.other)->group("");
  app.add_option("--report", options.report)->group("");
  CLI11_PARSE(app, argc, argv);
  if (!options.role.empty()) return Side(options).run();
  return show(options, measure(options)) ? 0 : 1;
}
