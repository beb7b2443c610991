// How much memory does an all-reduce, or a sync of the shared state, take beyond the buffers that
// the caller owns? Per peer, from the kernel's count of resident pages: its peak during the calls
// (VmHWM, reset through /proc/self/clear_refs) less the buffers, less what the process had before
// it made a communicator.
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

// What is measured: two kinds of all-reduces, and the two sides of a sync.
constexpr const char *out_of_place = "out of place", *in_place = "in place", *holder = "holder",
                     *newcomer = "newcomer";

struct Options {
  std::vector<int> worlds = {2, 4};
  std::size_t bytes = 256 << 20;
  int calls = 3, timeout_s = 300;
  std::size_t state_bytes = 1 << 30;
  int state_tensors = 50, state_world = 4;
  std::string json = "-";
  int peer_world = 0;  // this process is a peer of a group of that size
  std::string what = out_of_place;
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

int run_reducer(const Options& options) {
  const bool one_buffer = options.what == in_place;
  const std::size_t count = options.bytes / sizeof(float);
  const double buffers = (one_buffer ? 1 : 2) * static_cast<double>(options.bytes) / mib;
  const double before = status_mib("VmRSS");
  float* const input = resident_buffer(count, 1);
  float* const output = one_buffer ? input : resident_buffer(count, 0);
  bench::Peer peer(options.master_port);
  peer.connect();
  peer.gather(options.peer_world);

  const double connected = status_mib("VmRSS");
  reset_peak();
  const pcclReduceDescriptor_t descriptor = bench::float_sum(count, 0);
  float expected = 1;
  for (int i = 0; i < options.calls; ++i) {
    peer.require(pcclAllReduce(input, output, &descriptor, peer.comm(), nullptr), "pcclAllReduce");
    if (i == 0 || one_buffer) expected *= static_cast<float>(options.peer_world);
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

// The newcomer fetches everything; `bytes` are those of the state.
int run_syncer(const Options& options) {
  const std::size_t tensors = static_cast<std::size_t>(options.state_tensors);
  const std::size_t each = options.bytes / tensors / sizeof(float), count = each * tensors;
  const double before = status_mib("VmRSS");
  float* const memory = resident_buffer(count, options.what == holder ? 1 : 2);
  std::vector<std::string> names;
  for (std::size_t i = 0; i < tensors; ++i) names.push_back("tensor" + std::to_string(i));
  std::vector<pcclTensorInfo_t> infos;
  for (std::size_t i = 0; i < tensors; ++i)
    infos.push_back({names[i].c_str(), memory + i * each, each, pcclFloat, pcclDeviceCpu, false});
  bench::Peer peer(options.master_port);
  peer.connect();
  peer.gather(options.peer_world);

  const double connected = status_mib("VmRSS");
  reset_peak();
  pcclSharedState_t state{options.what == holder ? 1U : 0U, infos.size(), infos.data()};
  peer.require(pcclSynchronizeSharedState(peer.comm(), &state,
                                          PCCL_SHARED_STATE_SYNC_STRATEGY_ENFORCE_POPULAR, nullptr),
               "pcclSynchronizeSharedState");
  const double peak = status_mib("VmHWM");
  if (!std::all_of(memory, memory + count, [](float value) { return value == 1; })) {
    std::fprintf(stderr, "the state is not the elected one\n");
    return 1;
  }
  const double buffers = static_cast<double>(count * sizeof(float)) / mib;
  dprintf(options.report, "%.3f %.3f\n", peak - before - buffers, peak - connected);
  return 0;
}

struct Usage {
  double beyond_buffers = 0, during_calls = 0;  // MiB; the largest of all peers that report
};

// Of a group in which peers of rank 0 do `first`, the others `rest`; of those that do `reported`.
Usage measure(const Options& options, int world, std::size_t bytes, const std::string& first,
              const std::string& rest, const std::string& reported) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    std::perror("pipe2");
    std::exit(1);
  }
  const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
  const bench::LocalMaster master;
  bench::Children peers;
  for (int rank = 0; rank < world; ++rank) {
    const std::string& what = rank == 0 ? first : rest;
    const int report = what == reported ? ends[1] : nowhere;
    peers.start_self(
        {"--peer-world", std::to_string(world), "--bytes", std::to_string(bytes), "--calls",
         std::to_string(options.calls), "--state-tensors", std::to_string(options.state_tensors),
         "--master-port", std::to_string(master.port()), "--report", std::to_string(report),
         "--what", what},
        {report});
  }
  close(ends[1]);
  close(nowhere);
  if (!peers.all_succeed_within(std::chrono::seconds(options.timeout_s))) std::exit(1);
  Usage usage;
  FILE* const reports = fdopen(ends[0], "r");
  int heard = 0;
  for (double beyond, during; std::fscanf(reports, "%lf %lf", &beyond, &during) == 2; ++heard) {
    usage.beyond_buffers = std::max(usage.beyond_buffers, beyond);
    usage.during_calls = std::max(usage.during_calls, during);
  }
  std::fclose(reports);
  const int expected = (first == reported ? 1 : 0) + (rest == reported ? world - 1 : 0);
  if (heard != expected) {
    std::fprintf(stderr, "only %d of %d peers reported\n", heard, expected);
    std::exit(1);
  }
  return usage;
}

bool show(const Options& options, int world, std::size_t bytes, double limit,
          const std::string& what, const Usage& usage) {
  const bool met = usage.beyond_buffers < limit;
  std::printf("%5d  %-12s  %9.0f MiB  %12.1f MiB  %12.1f MiB  %9.0f MiB  %s\n", world, what.c_str(),
              static_cast<double>(bytes) / mib, usage.beyond_buffers, usage.during_calls, limit,
              met ? "met" : "MISSED");
  std::fflush(stdout);
  char text[256];
  std::snprintf(text, sizeof text,
                "\"benchmark\":\"memory_use\",\"world\":%d,\"bytes\":%zu,\"where\":\"%s\","
                "\"beyond_buffers_mib\":%.1f,\"during_calls_mib\":%.1f",
                world, bytes, what.c_str(), usage.beyond_buffers, usage.during_calls);
  bench::record(options.json, text);
  return met;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Memory that all-reduces and syncs take beyond the caller's buffers");
  app.add_option("-n,--world", options.worlds, "peers that reduce; several sizes may be given");
  app.add_option("--bytes", options.bytes, "of the tensor")->transform(CLI::AsSizeValue(false));
  app.add_option("--calls", options.calls, "all-reduces in a row");
  app.add_option("--state-bytes", options.state_bytes, "of the shared state; 0: no sync")
      ->transform(CLI::AsSizeValue(false));
  app.add_option("--state-tensors", options.state_tensors, "float32 tensors of the same size");
  app.add_option("--state-world", options.state_world, "peers that sync: holders and a newcomer");
  app.add_option("--timeout", options.timeout_s, "seconds until a run is given up");
  app.add_option("--json", options.json, "append a line per run to this file");
  app.add_option("--peer-world", options.peer_world)->group("");
  app.add_option("--what", options.what)->group("");
  app.add_option("--master-port", options.master_port)->group("");
  app.add_option("--report", options.report)->group("");
  CLI11_PARSE(app, argc, argv);
  if (options.peer_world > 0)
    return options.what == holder || options.what == newcomer ? run_syncer(options)
                                                              : run_reducer(options);

  std::printf("world  what                tensors    beyond them   peak of calls     limit\n");
  bool good = true;
  for (const int world : options.worlds) {
    for (const char* const what : {out_of_place, in_place}) {
      const double limit = 32 + (what == in_place ? static_cast<double>(options.bytes) / mib : 0);
      good &= show(options, world, options.bytes, limit, what,
                   measure(options, world, options.bytes, what, what, what));
    }
  }
  if (options.state_bytes == 0) return good ? 0 : 1;
  for (const char* const side : {newcomer, holder})
    good &=
        show(options, options.state_world, options.state_bytes, 64, side,
             measure(options, options.state_world, options.state_bytes, newcomer, holder, side));
  return good ? 0 : 1;
}
