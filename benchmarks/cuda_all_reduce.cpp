// How long does an all-reduce of tensors on a GPU take, beside the same call on tensors of the
// host, and beside a copy to the host, that call, and a copy back? Peers are threads of a process
// on this machine that share its GPU, over loopback; the three take turns, and ratios are medians
// of the ratios within a turn. Columns as of all_reduce_perf.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <vector>

#include "common/gpu_peers.hpp"
#include "common/results.hpp"
#include "common/statistics.hpp"
#include "common/typed_values.hpp"

namespace {

constexpr std::size_t bar_bytes = 256 << 20;
constexpr double bar = 0.9;  // of the host's bus bandwidth, at that size

const std::array<std::string, 3> places = {"host", "gpu", "staged"};

struct Options {
  bench::GpuPeers peers;
  int rounds = 5, timeout_s = 500;
  std::size_t min_bytes = 4 << 10, max_bytes = bar_bytes, factor = 16;
  std::string json = "-";
};

// ---- A peer -------------------------------------------------------------------------------------

// The host's are pinned, which is the fastest to copy from and to.
class Buffer {
 public:
  explicit Buffer(bool on_gpu) : on_gpu_(on_gpu) {}
  ~Buffer() { release(); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  void reserve(std::size_t bytes) {
    if (bytes <= size_) return;
    release();
    bench::require(on_gpu_ ? cudaMalloc(&data_, bytes)
                           : cudaHostAlloc(&data_, bytes, cudaHostAllocDefault));
    size_ = bytes;
  }
  void* data() const { return data_; }

 private:
  void release() {
    if (data_ == nullptr) return;
    bench::require(on_gpu_ ? cudaFree(data_) : cudaFreeHost(data_));
    data_ = nullptr;
  }

  const bool on_gpu_;
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

// A variant is a place, and with a plus the codes that the tensor travels as: "gpu+uint8".
class DeviceWorkload : public bench::Workload {
 public:
  DeviceWorkload(int rank, int world, const bench::Peer& peer, const bench::GpuStream& stream)
      : rank_(rank), world_(world), peer_(peer), stream_(stream) {}

  void prepare(const bench::Order& order) override {
    bytes_ = order.bytes;
    const std::size_t plus = order.variant.find('+');
    place_ = order.variant.substr(0, plus);
    descriptor_ = bench::float_sum(bytes_ / sizeof(float), 1);
    if (plus != std::string::npos)
      descriptor_.quantization_options = *bench::quantization_named(order.variant.substr(plus + 1));
    for (Buffer* const buffer : {&input_, &output_, &gpu_input_, &gpu_output_})
      buffer->reserve(bytes_);
  }
  void refill() override {
    bench::fill(input_.data(), descriptor_.count, pcclFloat, pcclSum, rank_);
    stream_.copy(gpu_input_.data(), input_.data(), bytes_);
  }
  void call() override {
    if (place_ == "gpu") return reduce(gpu_input_.data(), gpu_output_.data());
    if (place_ == "staged") stream_.copy(input_.data(), gpu_input_.data(), bytes_);
    reduce(input_.data(), output_.data());
    if (place_ == "staged") stream_.copy(gpu_output_.data(), output_.data(), bytes_);
  }
  std::size_t count_wrong() override {
    if (place_ != "host") stream_.copy(output_.data(), gpu_output_.data(), bytes_);
    return bench::count_wrong(output_.data(), descriptor_.count, pcclFloat, pcclSum, world_);
  }
  std::optional<bench::Way> way() override { return bench::Way{place_, info_.tx_bytes}; }

 private:
  void reduce(const void* from, void* to) {
    peer_.require(pcclAllReduce(from, to, &descriptor_, peer_.comm(), &info_), "pcclAllReduce");
  }

  const int rank_, world_;
  const bench::Peer& peer_;
  const bench::GpuStream& stream_;
  Buffer input_{false}, output_{false}, gpu_input_{true}, gpu_output_{true};
  std::size_t bytes_ = 0;
  std::string place_;
  pcclReduceDescriptor_t descriptor_{};
  pcclReduceInfo_t info_{};
};

int run_peers(const bench::GpuPeers& peers) {
  peers.run([&](int rank, const bench::Peer& peer, const bench::GpuStream& stream) {
    DeviceWorkload workload(rank, peers.world, peer, stream);
    bench::serve({peers.conducted, rank, peers.world}, workload);
  });
  return 0;
}

// ---- The conductor ------------------------------------------------------------------------------

struct Figures {
  std::vector<double> microseconds, of_host;  // by round
  std::size_t wrong = 0;
  std::uint64_t wire_bytes = 0;
};

std::array<Figures, places.size()> measure(bench::Conductor& conductor, const Options& options,
                                           std::size_t bytes, const std::string& codes) {
  std::array<Figures, places.size()> figures;
  const int iterations = static_cast<int>(std::clamp<std::size_t>((64 << 20) / bytes, 2, 100));
  for (int round = 0; round < options.rounds; ++round) {
    std::array<double, places.size()> times{};
    for (std::size_t place = 0; place < places.size(); ++place) {
      // Quantized results are not exact; tests compare them bit by bit.
      const bench::Answer answer = conductor.measure(
          {bytes, 2, iterations, false, codes.empty() && round == 0, places[place] + codes});
      times[place] = bench::median(answer.microseconds);
      figures[place].microseconds.push_back(times[place]);
      figures[place].of_host.push_back(times[0] / times[place]);
      figures[place].wrong += answer.wrong;
      if (answer.way) figures[place].wire_bytes = answer.way->bytes_sent;
    }
  }
  return figures;
}

int run_table(const Options& options) {
  bench::die_after(std::chrono::seconds(options.timeout_s));
  const bench::LocalMaster master;
  bench::Conductor conductor;
  bench::Children children;
  const int world = options.peers.world;
  options.peers.start(children, master, conductor, {"--world", std::to_string(world)});
  std::printf(
      "# world %d on one GPU, float32 sum; of_host: busbw over that of the host's tensors\n",
      world);
  std::printf("#%11s %7s %8s %10s %8s %8s %8s %6s %11s\n", "size(B)", "codes", "tensors",
              "time(us)", "algbw", "busbw", "of_host", "#wrong", "wire(B)");
  std::size_t wrong = 0;
  bool missed = false;
  for (std::size_t bytes = options.min_bytes; bytes <= options.max_bytes; bytes *= options.factor)
    for (const std::string codes : {"", "+uint8"}) {
      const auto figures = measure(conductor, options, bytes, codes);
      for (std::size_t place = 0; place < places.size(); ++place) {
        const Figures& of = figures[place];
        const double time = bench::median(of.microseconds), ratio = bench::median(of.of_host);
        const double algbw = static_cast<double>(bytes) / time / 1e3;
        const double busbw = algbw * 2 * (world - 1) / world;
        const bool misses =
            places[place] == "gpu" && codes.empty() && bytes == bar_bytes && ratio < bar;
        missed |= misses;
        wrong += of.wrong;
        std::printf(" %11zu %7s %8s %10.1f %8.3f %8.3f %8.2f %6zu %11llu%s\n", bytes,
                    codes.empty() ? "none" : codes.c_str() + 1, places[place].c_str(), time, algbw,
                    busbw, ratio, of.wrong, static_cast<unsigned long long>(of.wire_bytes),
                    misses ? "  below its bar" : "");
        char text[300];
        std::snprintf(
            text, sizeof text,
            "\"benchmark\":\"cuda_all_reduce\",\"world\":%d,\"bytes\":%zu,\"codes\":\"%s\","
            "\"tensors\":\"%s\",\"median_us\":%.1f,\"busbw\":%.4f,\"of_host\":%.3f",
            world, bytes, codes.empty() ? "none" : codes.c_str() + 1, places[place].c_str(), time,
            busbw, ratio);
        bench::record(options.json, text);
      }
      std::fflush(stdout);
    }
  conductor.dismiss();
  const bool ended_well = children.all_succeed_within(std::chrono::seconds(10));
  return ended_well && wrong == 0 && !missed ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("All-reduces of tensors on a GPU, beside those of the host");
  const CLI::AsSizeValue bytes(/*kb_is_1000=*/false);
  app.add_option("-n,--world", options.peers.world, "peers")->check(CLI::Range(2, 16));
  app.add_option("-b,--min-bytes", options.min_bytes, "smallest size")->transform(bytes);
  app.add_option("-e,--max-bytes", options.max_bytes, "largest size")->transform(bytes);
  app.add_option("-f,--factor", options.factor, "from one to the next")->check(CLI::Range(2, 1024));
  app.add_option("--rounds", options.rounds, "of all places, in turns")->check(CLI::Range(1, 100));
  app.add_option("--json", options.json, "append a line per figure to this file");
  app.add_option("--timeout", options.timeout_s, "seconds until the run is given up");
  options.peers.add_hidden_options(app);
  CLI11_PARSE(app, argc, argv);
  if (!bench::gpu_is_here()) return 0;
  return options.peers.are_here() ? run_peers(options.peers) : run_table(options);
}
