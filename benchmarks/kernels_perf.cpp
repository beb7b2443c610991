// The kernels of the set that PCCL_KERNELS chooses, each in two places:
//
//   memory/...  far beyond the cache. After each run, memcpy moves as many bytes (half of what the
//               kernel reads and writes, which it then reads and writes): `vs_memcpy` is the median
//               of the ratios of these pairs.
//   cache/...   a few KiB of elements, in turns with the same loop compiled without
//               auto-vectorization: `speed_up`, and `of_lanes` when divided by the elements in a
//               register of the set.
//
// GB/s counts the bytes read and written once each. Buffers start at cache lines, as tensors do.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/floating_point.hpp"
#include "common/results.hpp"
#include "kernels/quantize.hpp"
#include "kernels/unvectorised.hpp"

namespace {

using namespace pccl;
using namespace pccl::kernels;

constexpr std::size_t in_memory = 32u << 20, in_cache = 4096;
constexpr std::size_t block_elements = 1024;

constexpr std::align_val_t cache_line{64};

class Memory {
 public:
  void resize(std::size_t size) {
    bytes_.reset(static_cast<std::byte*>(::operator new(size, cache_line)));
    std::fill_n(bytes_.get(), size, std::byte{1});  // pages
    size_ = size;
  }
  std::byte* data() const { return bytes_.get(); }
  std::size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(std::byte* bytes) const { ::operator delete(bytes, cache_line); }
  };
  std::unique_ptr<std::byte, Free> bytes_;
  std::size_t size_ = 0;
};

// Every buffer that a kernel may want, for `count` elements of any type.
struct Buffers {
  explicit Buffers(std::size_t elements, DataType type) : count(elements) {
    const std::size_t bytes = count * size_of(type),
                      accumulator_bytes = count * size_of(accumulator_of(type));
    for (Memory* buffer : {&a, &b, &out}) buffer->resize(bytes);
    full.resize(accumulator_bytes);
    codes.resize(count * 8), new_codes.resize(count * 8);
    ranges.resize(count), new_ranges.resize(count);
    scratch.resize(block_elements * sizeof(double));
    // Normal numbers, a thousand times the same few thousand.
    std::mt19937_64 random{1};
    std::normal_distribution<float> normal;
    std::vector<float> numbers(4096);
    for (float& number : numbers) number = normal(random);
    std::vector<std::byte> pattern(numbers.size() * size_of(type));
    if (type == DataType::float32) {
      std::memcpy(pattern.data(), numbers.data(), pattern.size());
    } else if (type == DataType::float64) {
      const std::vector<double> wide(numbers.begin(), numbers.end());
      std::memcpy(pattern.data(), wide.data(), pattern.size());
    } else if (type >= DataType::float16) {
      scalar_kernels.narrow(type, pattern.data(), numbers.data(), numbers.size());
    }
    for (Memory* buffer : {&a, &b})
      for (std::size_t at = 0; at < bytes; at += pattern.size())
        std::memcpy(buffer->data() + at, pattern.data(), std::min(pattern.size(), bytes - at));
    for (std::size_t at = 0; at < full.size(); at += numbers.size() * 4)
      std::memcpy(full.data() + at, numbers.data(), std::min(numbers.size() * 4, full.size() - at));
  }

  std::size_t count;
  Memory a, b, out, full, codes, new_codes, ranges, new_ranges, scratch;
};

std::string joined(std::initializer_list<std::string_view> parts) {
  std::string all;
  for (const std::string_view part : parts) all.append(part);
  return all;
}

struct Kernel {
  std::string name;
  DataType type;  // of the elements
  std::function<void(const KernelSet&, Buffers&)> run;
  std::size_t lane_bytes;                            // of what a register holds of it
  std::function<double(std::size_t)> bytes_touched;  // reads and writes, of this many elements
  std::function<void(Buffers&)> prepare = [](Buffers&) {};
};

std::string results_file = "-";

// Shows what was found and keeps it.
void report(benchmark::State& state, std::string_view place, const Kernel& kernel,
            std::initializer_list<std::pair<const char*, double>> figures) {
  std::string fields = joined({R"("benchmark":"kernels_perf","set":")", chosen_kernel_set().name,
                               R"(","place":")", place, R"(","kernel":")", kernel.name, "\""});
  for (const auto& [name, value] : figures) {
    state.counters[name] = value;
    char number[32];
    std::snprintf(number, sizeof number, "%.3g", value);
    fields += joined({",\"", name, "\":", number});
  }
  bench::record(results_file, fields);
}

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  benchmark::ClobberMemory();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

void beyond_the_cache(benchmark::State& state, const Kernel& kernel) {
  const StandardFloatingPoint environment;
  Buffers buffers(in_memory, kernel.type);
  kernel.prepare(buffers);
  const double touched = kernel.bytes_touched(in_memory);
  const auto copied = static_cast<std::size_t>(touched / 2);
  Memory from, to;
  from.resize(copied), to.resize(copied);
  kernel.run(chosen_kernel_set(), buffers);  // pages
  std::vector<double> rates, copy_rates, ratios;
  for ([[maybe_unused]] const auto each : state) {
    const double seconds = seconds_of([&] { kernel.run(chosen_kernel_set(), buffers); });
    const double copy = seconds_of([&] { std::memcpy(to.data(), from.data(), copied); });
    state.SetIterationTime(seconds);
    rates.push_back(touched / seconds / 1e9);
    copy_rates.push_back(touched / copy / 1e9);
    ratios.push_back(copy / seconds);
  }
  report(state, "memory", kernel,
         {{"GB/s", median(rates)},
          {"memcpy_GB/s", median(copy_rates)},
          {"vs_memcpy", median(ratios)}});
}

void in_the_cache(benchmark::State& state, const Kernel& kernel) {
  const StandardFloatingPoint environment;
  Buffers buffers(in_cache, kernel.type);
  kernel.prepare(buffers);
  const KernelSet& set = chosen_kernel_set();
  constexpr int repeats = 32;  // longer than what the clock costs
  const auto run = [&](const KernelSet& with) {
    return seconds_of([&] {
      for (int i = 0; i < repeats; ++i) kernel.run(with, buffers);
    });
  };
  std::vector<double> rates, ratios;
  for ([[maybe_unused]] const auto each : state) {
    const double seconds = run(set), slowly = run(unvectorised_kernels);
    state.SetIterationTime(seconds / repeats);
    rates.push_back(kernel.bytes_touched(in_cache) * repeats / seconds / 1e9);
    ratios.push_back(slowly / seconds);
  }
  const std::size_t register_bytes = set.name == "avx512" ? 64 : set.name == "avx2" ? 32 : 16;
  const double lanes = static_cast<double>(register_bytes) / static_cast<double>(kernel.lane_bytes);
  report(state, "cache", kernel,
         {{"GB/s", median(rates)},
          {"speed_up", median(ratios)},
          {"of_lanes", median(ratios) / lanes}});
}

void add_reductions(std::vector<Kernel>& kernels) {
  for (const DataType type : {DataType::float32, DataType::float64, DataType::float16,
                              DataType::bfloat16, DataType::int8, DataType::int32})
    for (const RedOp op : {RedOp::sum, RedOp::max})
      kernels.push_back(
          {joined({"reduce/", name_of(op), "/", name_of(type)}), type,
           [=](const KernelSet& set, Buffers& with) {
             set.reduce(op, type, with.out.data(), with.a.data(), with.b.data(), with.count);
           },
           // 16-bit floats are summed in float32.
           op == RedOp::sum && type >= DataType::float16 ? std::max<std::size_t>(4, size_of(type))
                                                         : size_of(type),
           [=](std::size_t count) { return 3.0 * static_cast<double>(count * size_of(type)); }});
}

void add_conversions(std::vector<Kernel>& kernels) {
  for (const DataType type : {DataType::float16, DataType::bfloat16}) {
    const auto bytes = [](std::size_t count) { return 6.0 * static_cast<double>(count); };
    kernels.push_back({joined({"widen/", name_of(type)}), type,
                       [=](const KernelSet& set, Buffers& with) {
                         set.widen(type, with.full.data(), with.a.data(), with.count);
                       },
                       4, bytes});
    kernels.push_back({joined({"narrow/", name_of(type)}), type,
                       [=](const KernelSet& set, Buffers& with) {
                         set.narrow(type, with.out.data(), with.full.data(), with.count);
                       },
                       4, bytes});
  }
}

void add_quantization(std::vector<Kernel>& kernels, const Quantization& q) {
  const std::string suffix = joined({"/", name_of(q.type), "/", name_of(q.code),
                                     q.levels == Levels::zero_point_scale ? "/zero_point" : ""});
  const std::size_t accumulator_bytes = size_of(accumulator_of(q.type));
  const auto codes = [=](std::size_t count) {
    return static_cast<double>(Quantizer(q).code_bytes(count));
  };
  const auto values = [=](std::size_t count) {
    return static_cast<double>(count * size_of(q.type));
  };
  const auto prepare = [=](Buffers& with) {
    Quantizer(q).quantize({with.codes.data(), with.ranges.data()}, with.a.data(), with.count);
  };
  kernels.push_back({joined({"quantize", suffix}), q.type,
                     [=](const KernelSet& set, Buffers& with) {
                       Quantizer(q, set).quantize({with.codes.data(), with.ranges.data()},
                                                  with.a.data(), with.count);
                     },
                     accumulator_bytes,
                     [=](std::size_t count) { return values(count) + codes(count); }});
  kernels.push_back({joined({"dequantize", suffix}), q.type,
                     [=](const KernelSet& set, Buffers& with) {
                       Quantizer(q, set).dequantize(
                           with.out.data(), {with.codes.data(), with.ranges.data()}, with.count);
                     },
                     accumulator_bytes,
                     [=](std::size_t count) { return values(count) + codes(count); }, prepare});
  kernels.push_back({joined({"dequantize_reduce", suffix}), q.type,
                     [=](const KernelSet& set, Buffers& with) {
                       Quantizer(q, set).dequantize_reduce(
                           RedOp::sum, with.full.data(), {with.codes.data(), with.ranges.data()},
                           with.b.data(), with.count, with.new_ranges.data());
                     },
                     accumulator_bytes,
                     [=](std::size_t count) {
                       return values(count) + codes(count) +
                              static_cast<double>(count * accumulator_bytes);
                     },
                     prepare});
  kernels.push_back({joined({"requantize", suffix}), q.type,
                     [=](const KernelSet& set, Buffers& with) {
                       Quantizer(q, set).requantize(RedOp::sum,
                                                    {with.new_codes.data(), with.new_ranges.data()},
                                                    {with.codes.data(), with.ranges.data()},
                                                    with.b.data(), with.count, with.scratch.data());
                     },
                     accumulator_bytes,
                     [=](std::size_t count) { return values(count) + 2 * codes(count); }, prepare});
}

void add_scans(std::vector<Kernel>& kernels) {
  for (const DataType type :
       {DataType::float32, DataType::float64, DataType::float16, DataType::bfloat16}) {
    const Quantization q{type, Code::uint8, Levels::min_max, block_elements};
    kernels.push_back(
        {joined({"find_ranges/", name_of(type)}), type,
         [=](const KernelSet& set, Buffers& with) {
           Quantizer(q, set).find_ranges(with.ranges.data(), with.a.data(), with.count);
         },
         size_of(type),
         [=](std::size_t count) { return static_cast<double>(count * size_of(type)); }});
  }
}

std::vector<Kernel> all_kernels() {
  std::vector<Kernel> kernels;
  add_reductions(kernels);
  add_conversions(kernels);
  add_scans(kernels);
  const auto add = [&](DataType type, Code code, Levels levels) {
    add_quantization(kernels, {type, code, levels, block_elements});
  };
  for (const Code code : {Code::uint8, Code::uint16, Code::uint4, Code::uint2, Code::float8_e4m3,
                          Code::float8_e5m2, Code::float4_e3m0})
    add(DataType::float32, code, Levels::min_max);
  for (const Code code : {Code::uint8, Code::int8})
    add(DataType::float32, code, Levels::zero_point_scale);
  for (const Code code : {Code::uint8, Code::uint4, Code::uint32, Code::float8_e4m3})
    add(DataType::float64, code, Levels::min_max);
  for (const DataType type : {DataType::float16, DataType::bfloat16})
    for (const Code code : {Code::uint8, Code::uint4}) add(type, code, Levels::min_max);
  return kernels;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<Kernel> kernels = all_kernels();
  for (const Kernel& kernel : kernels) {
    benchmark::RegisterBenchmark(joined({"memory/", kernel.name}).c_str(), beyond_the_cache, kernel)
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond)
        ->Iterations(11);
    benchmark::RegisterBenchmark(joined({"cache/", kernel.name}).c_str(), in_the_cache, kernel)
        ->UseManualTime()
        ->Unit(benchmark::kMicrosecond)
        ->Iterations(51);
  }
  benchmark::AddCustomContext("kernel set", std::string(chosen_kernel_set().name));
  benchmark::Initialize(&argc, argv);  // takes its own options away
  if (argc == 3 && std::string_view(argv[1]) == "--json") {
    results_file = argv[2];
    argc = 1;
  }
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
