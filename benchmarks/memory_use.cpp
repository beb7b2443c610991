// How much memory does an all-reduce take beyond the buffers that the caller owns? Per peer, from
// the kernel's count of resident pages: its peak during the calls (VmHWM, reset through
// /proc/self/clear_refs) less the buffers, less what the process had before it made a communicator.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "common/child.hpp"
#include "common/pccl_run.hpp"
#include "common/results.hpp"

namespace {

constexpr double mib = 1 << 20;

struct Options {
  std::vector<int> worlds = {2, 4};
  std::size_t bytes = 256 << 20;
  int calls = 3, timeout_s = 300;
  std::string json = "-";
  int peer_world = 0;  // this process is a peer of a group of that size
  bool in_place = false;
  std::uint16_t master_port = 0;
  int report = -1;
};

// A line such as "VmHWM:     1234 kB" of /proc/self/status.
double status_mib(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name + ":")) return std::stod(line.substr(name.size() + 1)) / 1024;
  }
  return 0;
}

void reset_peak() {
  std::ofstream("/proc/self/clear_refs") << 5 << std::flush;
}

float* resident_buffer(std::size_t count, float value) {
  void* const memory = mmap(nullptr, count * sizeof(float), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    std::perror("mmap");
    std::exit(1);
  }
  auto* const buffer = static_cast<float*>(memory);
  std::fill_n(buffer, count, value);
  return buffer;
}

int run_peer(const Options& options) {
  const std::size_t count = options.bytes / sizeof(float);
  const double buffers = (options.in_place ? 1 : 2) * static_cast<double>(options.bytes) / mib;
  const double before = status_mib("VmRSS");
  float* const input = resident_buffer(count, 1);
  float* const output = options.in_place ? input : resident_buffer(count, 0);
  bench::Peer peer(options.master_port);
  peer.connect();
  peer.gather(options.peer_world);

  const double connected = status_mib("VmRSS");
  reset_peak();
  const pcclReduceDescriptor_t descriptor = bench::float_sum(count, 0);
  float expected = 1;
  for (int i = 0; i < options.calls; ++i) {
    peer.require(pcclAllReduce(input, output, &descriptor, peer.comm(), nullptr), "pcclAllReduce");
    if (i == 0 || options.in_place) expected *= static_cast<float>(options.peer_world);
  }
  const double peak = status_mib("VmHWM");
  for (std::size_t i = 0; i < count; ++i) {
    if (output[i] == expected) continue;
    std::fprintf(stderr, "element %zu is %g, not %g\n", i, output[i], expected);
    return 1;
  }
  dprintf(options.report, "%.3f %.3f\n", peak - before - buffers, peak - connected);
  return 0;
}

struct Usage {
  double beyond_buffers = 0, during_calls = 0;  // MiB; the largest of all peers
};

Usage measure(const Options& options, int world, bool in_place) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    std::perror("pipe2");
    std::exit(1);
  }
  const bench::LocalMaster master;
  bench::Children peers;
  for (int rank = 0; rank < world; ++rank) {
    std::vector<std::string> arguments{"--peer-world",  std::to_string(world),
                                       "--bytes",       std::to_string(options.bytes),
                                       "--calls",       std::to_string(options.calls),
                                       "--master-port", std::to_string(master.port()),
                                       "--report",      std::to_string(ends[1])};
    if (in_place) arguments.emplace_back("--in-place");
    peers.start_self(arguments, {ends[1]});
  }
  close(ends[1]);
  if (!peers.all_succeed_within(std::chrono::seconds(options.timeout_s))) std::exit(1);
  Usage usage;
  FILE* const reports = fdopen(ends[0], "r");
  int heard = 0;
  for (double beyond, during; std::fscanf(reports, "%lf %lf", &beyond, &during) == 2; ++heard) {
    usage.beyond_buffers = std::max(usage.beyond_buffers, beyond);
    usage.during_calls = std::max(usage.during_calls, during);
  }
  std::fclose(reports);
  if (heard != world) {
    std::fprintf(stderr, "only %d of %d peers reported\n", heard, world);
    std::exit(1);
  }
  return usage;
}

bool show(const Options& options, int world, bool in_place, const Usage& usage) {
  const double size = static_cast<double>(options.bytes) / mib;
  const double limit = in_place ? size + 32 : 32;
  const bool met = usage.beyond_buffers < limit;
  const char* const where = in_place ? "in place" : "out of place";
  std::printf("%5d  %-12s  %9.0f MiB  %12.1f MiB  %12.1f MiB  %9.0f MiB  %s\n", world, where, size,
              usage.beyond_buffers, usage.during_calls, limit, met ? "met" : "MISSED");
  std::fflush(stdout);
  char text[256];
  std::snprintf(text, sizeof text,
                "\"benchmark\":\"memory_use\",\"world\":%d,\"bytes\":%zu,\"where\":\"%s\","
                "\"beyond_buffers_mib\":%.1f,\"during_calls_mib\":%.1f",
                world, options.bytes, where, usage.beyond_buffers, usage.during_calls);
  bench::record(options.json, text);
  return met;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Memory that all-reduces take beyond the caller's buffers");
  app.add_option("-n,--world", options.worlds, "peers; several sizes may be given");
  app.add_option("--bytes", options.bytes, "of the tensor")->transform(CLI::AsSizeValue(false));
  app.add_option("--calls", options.calls, "all-reduces in a row");
  app.add_option("--timeout", options.timeout_s, "seconds until a run is given up");
  app.add_option("--json", options.json, "append a line per run to this file");
  app.add_option("--peer-world", options.peer_world)->group("");
  app.add_flag("--in-place", options.in_place)->group("");
  app.add_option("--master-port", options.master_port)->group("");
  app.add_option("--report", options.report)->group("");
  CLI11_PARSE(app, argc, argv);
  if (options.peer_world > 0) return run_peer(options);

  std::printf("world  buffers             tensor    beyond them   peak of calls     limit\n");
  bool good = true;
  for (const int world : options.worlds) {
    for (const bool in_place : {false, true}) {
      good &= show(options, world, in_place, measure(options, world, in_place));
    }
  }
  return good ? 0 : 1;
}
