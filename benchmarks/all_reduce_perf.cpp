// How long does an all-reduce take? One plain blocking pcclAllReduce after the other, for a range
// of sizes, between processes on this machine; the columns are those of nccl-tests. See README.md.
//
// With --quantize it also tells how far the results are from the exact ones.
//
// This process serves as master and conducts the peers (common/conducted.hpp), which are this
// program again. With --conducted somebody else conducts: compare.py, which measures other
// libraries in the same run.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <climits>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <optional>

#include "common/child.hpp"
#include "common/conducted.hpp"
#include "common/pccl_run.hpp"
#include "common/quantization_error.hpp"
#include "common/results.hpp"
#include "common/statistics.hpp"
#include "common/typed_values.hpp"

namespace {

struct Options {
  int world = 2;
  std::size_t min_bytes = 4, max_bytes = 256 << 20, factor = 4;
  int iterations = 0, warmup = -1;  // by size unless given
  bool in_place = false, check = false, compare = false;
  std::string type_name = "float", op_name = "sum", quantization = "none", json = "-", conducted;
  int timeout_s = 600;
  int concurrent = 1;  // calls that share the bytes
  int peer_rank = -1;  // this process is a peer
  std::string master_host = "127.0.0.1";
  std::uint16_t master_port = 0;

  pcclDataType_t type() const { return *bench::data_type_named(type_name); }
  pcclRedOp_t op() const { return *bench::op_named(op_name); }
  bool quantizes() const { return quantization != "none"; }
};

// ---- A peer -------------------------------------------------------------------------------------

class PageAligned {
 public:
  void reserve(std::size_t bytes) {
    if (bytes <= size_) return;
    std::free(data_);
    size_ = (bytes + 4095) / 4096 * 4096;
    data_ = std::aligned_alloc(4096, size_);
    if (data_ == nullptr) throw std::bad_alloc();
  }
  ~PageAligned() { std::free(data_); }
  void* data() const { return data_; }

 private:
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

class PcclWorkload : public bench::Workload {
 public:
  PcclWorkload(const Options& options, const bench::Peer& peer) : options_(options), peer_(peer) {
    descriptor_.op = options.op();
    descriptor_.src_descriptor.datatype = options.type();
    descriptor_.quantization_options = *bench::quantization_named(options.quantization);
    if (options.quantizes())
      quantized_.emplace(options.type(), options.op(), descriptor_.quantization_options,
                         options.world);
  }
  void prepare(const bench::Order& order) override {
    descriptor_.count = order.bytes / bench::size_of(options_.type());
    calls_ = order.variant == "-" ? 1 : std::stoull(order.variant);
    in_place_ = order.in_place;
    output_.reserve(order.bytes);
    if (!in_place_) input_.reserve(order.bytes);
  }
  void refill() override {
    if (quantized_)
      quantized_->fill(input(), descriptor_.count, options_.peer_rank);
    else
      bench::fill(input(), descriptor_.count, options_.type(), options_.op(), options_.peer_rank);
    if (!in_place_)
      std::memset(output_.data(), 0, descriptor_.count * bench::size_of(options_.type()));
  }
  void call() override {
    if (calls_ > 1) return call_concurrently();
    peer_.require(pcclAllReduce(input(), output_.data(), &descriptor_, peer_.comm(), &info_),
                  "pcclAllReduce");
  }
  std::optional<bench::Way> way() override {
    const std::size_t bytes_of_a_call =
        descriptor_.count * bench::size_of(options_.type()) / calls_;
    const auto within = [&](pcclAttribute_t limit) {
      const int bytes = attribute(limit);
      return bytes == INT_MAX || bytes_of_a_call <= static_cast<std::size_t>(bytes);
    };
    const bool star = within(PCCL_ATTRIBUTE_STAR_BYTES);
    const bool pairwise = !quantized_ && within(PCCL_ATTRIBUTE_PAIRWISE_BYTES);
    return bench::Way{.algorithm = star       ? "star"
                                   : pairwise ? "pairwise"
                                              : "ring",
                      .bytes_sent = info_.tx_bytes * calls_};
  }
  std::size_t count_wrong() override {
    if (const auto found = deviation()) return found->beyond;
    return bench::count_wrong(output_.data(), descriptor_.count, options_.type(), options_.op(),
                              options_.world);
  }
  std::optional<bench::Deviation> deviation() override {
    if (!quantized_) return std::nullopt;
    return quantized_->deviation(output_.data(), descriptor_.count);
  }

 private:
  int attribute(pcclAttribute_t which) {
    int value = 0;
    peer_.require(pcclGetAttribute(peer_.comm(), which, &value), "pcclGetAttribute");
    return value;
  }
  void* input() const { return in_place_ ? output_.data() : input_.data(); }

  // The same elements as so many calls that are in flight at once.
  void call_concurrently() {
    std::vector<pcclAsyncReduceOp_t> handles(calls_);
    const std::size_t element = bench::size_of(options_.type());
    for (std::size_t tag = 0; tag < calls_; ++tag) {
      const std::size_t begin = descriptor_.count * tag / calls_;
      pcclReduceDescriptor_t part = descriptor_;
      part.tag = tag;
      part.count = descriptor_.count * (tag + 1) / calls_ - begin;
      peer_.require(pcclAllReduceAsync(static_cast<std::byte*>(input()) + begin * element,
                                       static_cast<std::byte*>(output_.data()) + begin * element,
                                       &part, peer_.comm(), &handles[tag]),
                    "pcclAllReduceAsync");
    }
    for (pcclAsyncReduceOp_t& handle : handles)
      peer_.require(pcclAwaitAsyncReduce(&handle, &info_), "pcclAwaitAsyncReduce");
  }

  const Options& options_;
  const bench::Peer& peer_;
  pcclReduceDescriptor_t descriptor_{};
  pcclReduceInfo_t info_{};  // of the last call
  std::size_t calls_ = 1;
  std::optional<bench::QuantizedCase> quantized_;
  bool in_place_ = false;
  PageAligned input_, output_;
};

int run_peer(const Options& options) {
  bench::Peer peer(options.master_port, 0, options.master_host);
  peer.connect();
  peer.gather(options.world);
  PcclWorkload workload(options, peer);
  bench::serve({options.conducted, options.peer_rank, options.world}, workload);
  return 0;
}

// ---- The conductor ------------------------------------------------------------------------------

int iterations_for(std::size_t bytes) {
  return static_cast<int>(std::clamp<std::size_t>((256 << 20) / bytes, 5, 200));
}

struct Row {
  double microseconds, p95, algbw, busbw;
  std::size_t wrong;
  bench::Way way;
  std::optional<bench::Deviation> deviation;
};

Row measure(bench::Conductor& conductor, const Options& options, std::size_t bytes, bool in_place) {
  const int iterations = options.iterations > 0 ? options.iterations : iterations_for(bytes);
  const int warmup = options.warmup >= 0 ? options.warmup : std::clamp(iterations / 5, 2, 20);
  const bench::Answer answer = conductor.measure(
      {bytes, warmup, iterations, in_place, options.check, std::to_string(options.concurrent)});
  const double time = bench::median(answer.microseconds);
  const double algbw = static_cast<double>(bytes) / time / 1e3;
  return {time,
          bench::quantile(answer.microseconds, 0.95),
          algbw,
          algbw * 2 * (options.world - 1) / options.world,
          answer.wrong,
          answer.way.value_or(bench::Way{}),
          answer.deviation};
}

void show(const Row& row, bool checked) {
  std::printf(" %10.2f %8.3f %8.3f %6s %4s %11llu", row.microseconds, row.algbw, row.busbw,
              checked ? std::to_string(row.wrong).c_str() : "N/A", row.way.algorithm.c_str(),
              static_cast<unsigned long long>(row.way.bytes_sent));
  if (row.deviation)
    std::printf(" %9.2e %9.2e %9.2e", row.deviation->relative_l2, row.deviation->largest,
                row.deviation->bound);
}

void record(const Options& options, std::size_t bytes, const char* where, const Row& row) {
  char text[512];
  std::snprintf(text, sizeof text,
                "\"benchmark\":\"all_reduce_perf\",\"world\":%d,\"bytes\":%zu,\"type\":\"%s\","
                "\"op\":\"%s\",\"quantization\":\"%s\",\"where\":\"%s\",\"median_us\":%.2f,\"p95_"
                "us\":%.2f,\"busbw\":%.4f,\"algorithm\":\"%s\",\"wire_bytes\":%llu",
                options.world, bytes, options.type_name.c_str(), options.op_name.c_str(),
                options.quantization.c_str(), where, row.microseconds, row.p95, row.busbw,
                row.way.algorithm.c_str(), static_cast<unsigned long long>(row.way.bytes_sent));
  std::string fields = text;
  // JSON has no infinity: there the bound is left out.
  if (row.deviation) {
    std::snprintf(text, sizeof text, ",\"relative_l2\":%.3e,\"largest_error\":%.3e",
                  row.deviation->relative_l2, row.deviation->largest);
    fields += text;
    if (std::isfinite(row.deviation->bound)) {
      std::snprintf(text, sizeof text, ",\"error_bound\":%.3e", row.deviation->bound);
      fields += text;
    }
  }
  bench::record(options.json, fields);
}

void show_header(const Options& options) {
  std::printf("# world %d, %d pcclAllReduce at a time over loopback; quantized to: %s\n",
              options.world, options.concurrent, options.quantization.c_str());
  const bool errors = options.quantizes() && options.check;
  if (errors)
    std::printf(
        "# inputs: normal, deviation 1. error: relative L2, the largest, and the bound beyond "
        "which "
        "an element is wrong\n");
  const int width = errors ? 84 : 54;
  std::printf("#%11s %12s %8s %6s %*s %*s\n", "", "", "", "", width, "out-of-place", width,
              options.in_place ? "in-place" : "");
  std::printf("#%11s %12s %8s %6s", "size(B)", "count", "type", "redop");
  for (int i = 0; i <= options.in_place; ++i) {
    std::printf(" %10s %8s %8s %6s %4s %11s", "time(us)", "algbw", "busbw", "#wrong", "algo",
                "wire(B)");
    if (errors) std::printf(" %9s %9s %9s", "L2.err", "max.err", "bound");
  }
  std::printf("\n");
}

std::size_t show_table(bench::Conductor& conductor, const Options& options) {
  show_header(options);
  std::size_t wrong = 0;
  const std::size_t element = bench::size_of(options.type());
  for (std::size_t size = options.min_bytes; size <= options.max_bytes; size *= options.factor) {
    const std::size_t bytes = std::max(size / element, std::size_t{1}) * element;
    std::printf(" %11zu %12zu %8s %6s", bytes, bytes / element, options.type_name.c_str(),
                options.op_name.c_str());
    for (const bool in_place : {false, true}) {
      if (in_place && !options.in_place) continue;
      const Row row = measure(conductor, options, bytes, in_place);
      show(row, options.check);
      record(options, bytes, in_place ? "in-place" : "out-of-place", row);
      wrong += row.wrong;
    }
    std::printf("\n");
    std::fflush(stdout);
  }
  return wrong;
}

void start_peers(bench::Children& peers, const Options& options, std::uint16_t master_port,
                 const std::string& control) {
  for (int rank = 0; rank < options.world; ++rank) {
    peers.start_self({"--peer-rank", std::to_string(rank), "--master-port",
                      std::to_string(master_port), "--conducted", control, "--world",
                      std::to_string(options.world), "--type", options.type_name, "--op",
                      options.op_name, "--quantize", options.quantization});
  }
}

int run_conducted(const Options& options) {
  const bench::LocalMaster master;
  bench::Children peers;
  start_peers(peers, options, master.port(), options.conducted);
  return peers.all_succeed_within(std::chrono::hours(24)) ? 0 : 1;
}

int run_table(const Options& options) {
  bench::die_after(std::chrono::seconds(options.timeout_s));
  const bench::LocalMaster master;
  bench::Conductor conductor;
  bench::Children peers;
  start_peers(peers, options, master.port(), conductor.name());
  conductor.await_members(options.world);
  const std::size_t wrong = show_table(conductor, options);
  conductor.dismiss();
  const bool ended_well = peers.all_succeed_within(std::chrono::seconds(10));
  if (wrong > 0) std::fprintf(stderr, "%zu wrong elements\n", wrong);
  return ended_well && wrong == 0 ? 0 : 1;
}

// compare.py takes the same range of sizes.
int run_compare(const Options& options) {
  std::string folder(4096, '\0');
  const ssize_t length = readlink("/proc/self/exe", folder.data(), folder.size());
  folder.resize(folder.rfind('/', static_cast<std::size_t>(std::max<ssize_t>(length, 0))));
  std::vector<std::string> arguments{
      "python3", BENCHMARKS_DIR "/compare.py",  "--bin",  folder,
      "--world", std::to_string(options.world), "--json", options.json};
  if (options.in_place) arguments.emplace_back("--in-place");
  arguments.emplace_back("--sizes");
  for (std::size_t size = options.min_bytes; size <= options.max_bytes; size *= options.factor) {
    arguments.push_back(std::to_string(size));
  }
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  execvp(argv[0], argv.data());
  std::perror("python3");
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Time pcclAllReduce between processes on this machine (columns of nccl-tests)");
  const CLI::AsSizeValue bytes(/*kb_is_1000=*/false);
  app.add_option("-n,--world", options.world, "peers")->check(CLI::Range(2, 64));
  app.add_option("-b,--min-bytes", options.min_bytes, "smallest size, e.g. 4 or 1K")
      ->transform(bytes);
  app.add_option("-e,--max-bytes", options.max_bytes, "largest size")->transform(bytes);
  app.add_option("-f,--factor", options.factor, "from one size to the next")
      ->check(CLI::Range(2, 1024));
  app.add_option("--iters", options.iterations, "timed calls per size; default: 5 to 200 by size");
  app.add_option("--warmup", options.warmup, "calls before them; default: a fifth, 2 to 20");
  app.add_option("--type", options.type_name)->check([](const std::string& name) {
    return bench::data_type_named(name) ? "" : "float double half bfloat16 [u]int8 ... [u]int64";
  });
  app.add_option("--op", options.op_name)->check([](const std::string& name) {
    return bench::op_named(name) ? "" : "sum avg prod max min";
  });
  app.add_option("--quantize", options.quantization,
                 "implies --check, which then tells the error against the exact result")
      ->check([](const std::string& name) {
        return bench::quantization_named(name)
                   ? ""
                   : "none [u]int8 ... [u]int64 uint4 uint2 float8_e4m3 float8_e5m2 float4_e3m0";
      });
  app.add_option("--concurrent", options.concurrent, "so many calls at once share the bytes")
      ->check(CLI::Range(1, 1024));
  app.add_flag("--in-place", options.in_place, "in-place columns too (with --compare: instead)");
  const CLI::Option* const check = app.add_flag("--check,!--no-check", options.check,
                                                "compare one result per size with the known one");
  app.add_flag("--compare", options.compare,
               "beside Open MPI, Gloo and bare loops (float sum only)");
  app.add_option("--json", options.json, "append a line per size to this file");
  app.add_option("--timeout", options.timeout_s, "seconds until the whole run is given up");
  app.add_option("--conducted", options.conducted)->group("");
  app.add_option("--peer-rank", options.peer_rank)->group("");
  app.add_option("--master-host", options.master_host)->group("");
  app.add_option("--master-port", options.master_port)->group("");
  CLI11_PARSE(app, argc, argv);
  if (options.quantizes() && check->count() == 0) options.check = true;
  if (options.peer_rank >= 0) return run_peer(options);
  if (!options.conducted.empty()) return run_conducted(options);
  return options.compare ? run_compare(options) : run_table(options);
}
