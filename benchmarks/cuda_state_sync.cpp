// How long does a sync of a shared state on a GPU take when nothing differs? Then it is one pass of
// the GPU over the state, for the digests, and a round trip to the master; beside it, what the GPU
// needs to read so many bytes: half of a copy on it, which reads and writes them. Two peers share
// the GPU, and sync at the same time: each has half of its memory's bandwidth, so the pass of both
// is compared with the read of both.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "common/gpu_peers.hpp"
#include "common/results.hpp"
#include "common/statistics.hpp"

namespace {

constexpr double bar = 2;  // reads that a sync may take

struct Options {
  bench::GpuPeers peers;
  std::size_t bytes = 512 << 20;
  int tensors = 50, rounds = 9, timeout_s = 300;
  std::string json = "-";
};

class State : public bench::Workload {
 public:
  State(const Options& options, const bench::Peer& peer, const bench::GpuStream& stream)
      : peer_(peer), stream_(stream), bytes_(options.bytes) {
    const auto tensors = static_cast<std::size_t>(options.tensors);
    const std::size_t of_each = bytes_ / tensors / 256 * 256;
    bench::require(cudaMalloc(&data_, bytes_));
    bench::require(cudaMalloc(&copy_, bytes_));
    bench::require(cudaMemset(data_, 1, bytes_));
    for (std::size_t i = 0; i < tensors; ++i) names_.push_back("tensor" + std::to_string(i));
    for (std::size_t i = 0; i < tensors; ++i)
      infos_.push_back({names_[i].c_str(), static_cast<std::byte*>(data_) + i * of_each,
                        of_each / sizeof(float), pcclFloat, pcclDeviceCuda, false});
  }
  ~State() override {
    cudaFree(data_);
    cudaFree(copy_);
  }
  void prepare(const bench::Order& order) override { syncs_ = order.variant == "sync"; }
  void refill() override {}
  std::size_t count_wrong() override { return 0; }
  void call() override {
    if (syncs_) {
      pcclSharedState_t state{revision_++, infos_.size(), infos_.data()};
      peer_.require(
          pcclSynchronizeSharedState(peer_.comm(), &state,
                                     PCCL_SHARED_STATE_SYNC_STRATEGY_ENFORCE_POPULAR, nullptr),
          "pcclSynchronizeSharedState");
    } else {
      stream_.copy(copy_, data_, bytes_ / 2);
    }
  }

 private:
  const bench::Peer& peer_;
  const bench::GpuStream& stream_;
  const std::size_t bytes_;
  void *data_ = nullptr, *copy_ = nullptr;
  std::vector<std::string> names_;
  std::vector<pcclTensorInfo_t> infos_;
  std::uint64_t revision_ = 0;
  bool syncs_ = false;
};

int run_peers(const Options& options) {
  options.peers.run([&](int rank, const bench::Peer& peer, const bench::GpuStream& stream) {
    State state(options, peer, stream);
    bench::serve({options.peers.conducted, rank, options.peers.world}, state);
  });
  return 0;
}

int run_table(const Options& options) {
  bench::die_after(std::chrono::seconds(options.timeout_s));
  const bench::LocalMaster master;
  bench::Conductor conductor;
  bench::Children children;
  options.peers.start(
      children, master, conductor,
      {"--bytes", std::to_string(options.bytes), "--tensors", std::to_string(options.tensors)});
  std::vector<double> reads, syncs, ratios;
  for (int round = 0; round < options.rounds; ++round) {
    const auto time_of = [&](const std::string& what) {
      return bench::median(
          conductor.measure({options.bytes, 1, 5, false, false, what}).microseconds);
    };
    reads.push_back(time_of("read"));
    syncs.push_back(time_of("sync"));
    ratios.push_back(syncs.back() / reads.back());
  }
  conductor.dismiss();
  const double gb = static_cast<double>(options.bytes) / 1e3, ratio = bench::median(ratios);
  std::printf("read of the state by the GPU, both at once  %10.1f us %8.1f GB/s\n",
              bench::median(reads), gb / bench::median(reads));
  std::printf("sync, nothing differs                       %10.1f us %8.1f GB/s\n",
              bench::median(syncs), gb / bench::median(syncs));
  std::printf("  %-6s sync / read <= %.0f:  %.2f\n", ratio <= bar ? "met" : "MISSED", bar, ratio);
  char text[200];
  std::snprintf(text, sizeof text,
                "\"benchmark\":\"cuda_state_sync\",\"bytes\":%zu,\"read_us\":%.1f,\"sync_us\":%.1f,"
                "\"ratio\":%.3f",
                options.bytes, bench::median(reads), bench::median(syncs), ratio);
  bench::record(options.json, text);
  return children.all_succeed_within(std::chrono::seconds(10)) && ratio <= bar ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Syncs of a shared state on a GPU, beside reads of it");
  app.add_option("--bytes", options.bytes, "of the state")->transform(CLI::AsSizeValue(false));
  app.add_option("--tensors", options.tensors, "float32 tensors of the same size")
      ->check(CLI::Range(1, 10000));
  app.add_option("--rounds", options.rounds)->check(CLI::Range(1, 1000));
  app.add_option("--timeout", options.timeout_s, "seconds until the run is given up");
  app.add_option("--json", options.json, "append a line to this file");
  options.peers.add_hidden_options(app);
  CLI11_PARSE(app, argc, argv);
  if (!bench::gpu_is_here()) return 0;
  return options.peers.are_here() ? run_peers(options) : run_table(options);
}
