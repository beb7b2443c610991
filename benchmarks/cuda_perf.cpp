// The kernels of a GPU as parts of what it copies. One GPU, nothing else.
//
//   bytes     that a kernel reads and writes, each once
//   of_copy   its bytes per second over those of a copy on the device, which reads and writes as
//   many
#include <cuda_runtime_api.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#define XXH_INLINE_ALL  // for the secret
#include <xxhash.h>

#include "kernels/cuda/kernels.hpp"
#include "kernels/quantize.hpp"

namespace {

using namespace pccl;

void check(int error) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "cuda_perf: %s\n", cudaGetErrorString(static_cast<cudaError_t>(error)));
  std::exit(1);
}

class Memory {
 public:
  explicit Memory(std::size_t bytes) { check(cudaMalloc(&at_, bytes)); }
  ~Memory() { cudaFree(at_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  void fill(const void* data, std::size_t bytes) {
    check(cudaMemcpy(at_, data, bytes, cudaMemcpyHostToDevice));
  }
  std::byte* get() const { return static_cast<std::byte*>(at_); }

 private:
  void* at_ = nullptr;
};

// Between two events: they and the launch take microseconds, of a copy others than of a kernel.
constexpr int calls_at_once = 10;

// Seconds of one call: the median of many times calls_at_once.
double seconds(const std::function<void()>& call, int times_taken) {
  cudaEvent_t begin, end;
  check(cudaEventCreate(&begin));
  check(cudaEventCreate(&end));
  for (int i = 0; i < calls_at_once; ++i) call();
  std::vector<double> times;
  for (int i = 0; i < times_taken; ++i) {
    float milliseconds = 0;
    check(cudaEventRecord(begin));
    for (int k = 0; k < calls_at_once; ++k) call();
    check(cudaEventRecord(end));
    check(cudaEventSynchronize(end));
    check(cudaEventElapsedTime(&milliseconds, begin, end));
    times.push_back(milliseconds / 1e3 / calls_at_once);
  }
  check(cudaEventDestroy(begin));
  check(cudaEventDestroy(end));
  std::nth_element(times.begin(), times.begin() + times_taken / 2, times.end());
  return times[static_cast<std::size_t>(times_taken / 2)];
}

struct Row {
  std::string kernel;
  double bytes;
  std::function<void()> call;
  double bar;  // 0: none
};

}  // namespace

int main(int argc, char** argv) {
  std::size_t mib = 256;
  int times = 20;
  CLI::App app("Kernels of a GPU beside a copy on the device");
  app.add_option("--mib", mib, "of the tensor")->check(CLI::Range(1, 4096));
  app.add_option("--times", times, "that ten calls are measured")->check(CLI::Range(1, 10000));
  CLI11_PARSE(app, argc, argv);

  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    std::printf("cuda_perf: no GPU here\n");
    return 0;
  }
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, 0));

  const std::size_t bytes = mib << 20, count = bytes / sizeof(float);
  std::vector<float> numbers(count);
  for (std::size_t i = 0; i < count; ++i)
    numbers[i] =
        static_cast<float>(static_cast<int>(i * 2'654'435'761u >> 16 & 0xffff) - 0x8000) / 0x8000;
  Memory a(bytes), b(bytes), out(bytes), codes(bytes), residual(bytes);
  a.fill(numbers.data(), bytes);
  b.fill(numbers.data(), bytes);
  check(cudaMemset(residual.get(), 0, bytes));

  std::vector<Row> rows;
  const auto both_ways = static_cast<double>(2 * bytes);
  rows.push_back(
      {"copy", both_ways,
       [&] { check(cudaMemcpyAsync(out.get(), a.get(), bytes, cudaMemcpyDeviceToDevice)); }, 0});
  const std::pair<DataType, const char*> types[] = {{DataType::float32, "float32"},
                                                    {DataType::bfloat16, "bfloat16"},
                                                    {DataType::float16, "float16"},
                                                    {DataType::float64, "float64"},
                                                    {DataType::uint8, "uint8"}};
  for (const auto& [type, name] : types)
    rows.push_back({std::string("reduce sum ") + name, static_cast<double>(3 * bytes),
                    [&, type = type] {
                      check(kernels::cuda::reduce(RedOp::sum, type, out.get(), a.get(), b.get(),
                                                  bytes / size_of(type), nullptr));
                    },
                    0.85});
  rows.push_back({"reduce max float32", static_cast<double>(3 * bytes),
                  [&] {
                    check(kernels::cuda::reduce(RedOp::max, DataType::float32, out.get(), a.get(),
                                                b.get(), count, nullptr));
                  },
                  0.85});

  // As parts of a tensor may lie: not aligned to a vector.
  rows.push_back({"reduce sum float32, shifted", static_cast<double>(3 * (bytes - sizeof(float))),
                  [&] {
                    check(kernels::cuda::reduce(RedOp::sum, DataType::float32, out.get(),
                                                a.get() + sizeof(float), b.get(), count - 1,
                                                nullptr));
                  },
                  0});

  constexpr std::size_t block = 1024;
  for (const Code code : {Code::uint8, Code::uint4, Code::float8_e4m3}) {
    const kernels::Quantizer sizes({DataType::float32, code, kernels::Levels::min_max, block});
    const std::size_t of_ranges = sizes.range_bytes(count), of_codes = sizes.code_bytes(count);
    const kernels::cuda::Codes place{codes.get() + of_ranges, codes.get()};
    const kernels::cuda::QuantizeStep encode{.out = place,
                                             .in = {},
                                             .values = a.get(),
                                             .residual = nullptr,
                                             .count = count,
                                             .block_elements = block,
                                             .levels = kernels::Levels::min_max,
                                             .op = RedOp::sum,
                                             .world_size = 1};
    const std::string name(name_of(code));
    const auto once = static_cast<double>(bytes + of_codes + of_ranges);
    rows.push_back(
        {"quantize " + name, once,
         [=] { check(kernels::cuda::quantize(DataType::float32, code, encode, nullptr)); }, 0.85});
    auto hop = encode;
    hop.in = place;
    rows.push_back({"requantize " + name, once + static_cast<double>(of_codes + of_ranges),
                    [=] { check(kernels::cuda::quantize(DataType::float32, code, hop, nullptr)); },
                    0.85});
    auto feedback = hop;
    feedback.residual = reinterpret_cast<float*>(residual.get());
    rows.push_back(
        {"requantize " + name + ", feedback",
         once + static_cast<double>(of_codes + of_ranges) + both_ways,
         [=] { check(kernels::cuda::quantize(DataType::float32, code, feedback, nullptr)); }, 0});
    const kernels::cuda::DequantizeStep decode{out.get(), place, count, block,
                                               kernels::Levels::min_max};
    rows.push_back(
        {"dequantize " + name, once,
         [=] { check(kernels::cuda::dequantize(DataType::float32, code, decode, nullptr)); },
         0.85});
  }

  constexpr std::size_t state_block = 256 << 10;
  std::vector<kernels::cuda::DigestJob> jobs;
  for (std::size_t at = 0; at + state_block <= bytes; at += state_block)
    jobs.push_back({a.get() + at, state_block});
  Memory on_device(jobs.size() * sizeof jobs[0]), octets(16 * jobs.size()), secret(192);
  on_device.fill(jobs.data(), jobs.size() * sizeof jobs[0]);
  secret.fill(XXH3_kSecret, 192);
  rows.push_back({"digest, blocks of 256 KiB", static_cast<double>(bytes),
                  [&] {
                    check(kernels::cuda::digest(
                        reinterpret_cast<const kernels::cuda::DigestJob*>(on_device.get()),
                        jobs.size(), reinterpret_cast<std::uint8_t*>(octets.get()), secret.get(),
                        nullptr));
                  },
                  0.6});

  std::printf("%s, %zu MiB, median of %d times %d calls\n\n", properties.name, mib, times,
              calls_at_once);
  std::printf("%-32s %10s %9s %8s %8s\n", "kernel", "bytes(MB)", "time(us)", "GB/s", "of_copy");
  double copy_rate = 0;
  int missed = 0;
  for (const Row& row : rows) {
    const double time = seconds(row.call, times), rate = row.bytes / time;
    if (copy_rate == 0) copy_rate = rate;
    const bool misses = row.bar > 0 && rate / copy_rate < row.bar;
    missed += misses;
    std::printf("%-32s %10.1f %9.1f %8.1f %8.2f%s\n", row.kernel.c_str(), row.bytes / 1e6,
                time * 1e6, rate / 1e9, rate / copy_rate, misses ? "  below its bar" : "");
  }
  return missed > 0 ? 1 : 0;
}
