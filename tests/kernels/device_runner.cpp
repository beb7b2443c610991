#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#define XXH_INLINE_ALL  // for the secret
#include <xxhash.h>

#include "kernels/cuda/kernels.hpp"
#include "runner.hpp"

namespace pccl::kernels {

using reference::Bytes;
using reference::QuantizedBytes;

namespace {

void expect_done(int error) {
  EXPECT_EQ(error, cudaSuccess) << cudaGetErrorString(static_cast<cudaError_t>(error));
}

// Memory of the GPU that holds `data`, `shift` bytes behind an aligned place.
class OnDevice {
 public:
  OnDevice(const void* data, std::size_t bytes, std::size_t shift = 0)
      : bytes_(bytes), shift_(shift) {
    expect_done(cudaMalloc(&memory_, shift + std::max<std::size_t>(bytes, 1)));
    if (bytes > 0) expect_done(cudaMemcpy(at(), data, bytes, cudaMemcpyHostToDevice));
  }
  explicit OnDevice(const Bytes& data, std::size_t shift = 0)
      : OnDevice(data.data(), data.size(), shift) {}
  ~OnDevice() { cudaFree(memory_); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

  void* at() const { return static_cast<std::byte*>(memory_) + shift_; }
  void read(void* to) const {
    expect_done(cudaDeviceSynchronize());
    if (bytes_ > 0) expect_done(cudaMemcpy(to, at(), bytes_, cudaMemcpyDeviceToHost));
  }
  Bytes content() const {
    Bytes out(bytes_);
    read(out.data());
    return out;
  }

 private:
  void* memory_ = nullptr;
  std::size_t bytes_, shift_;
};

}  // namespace

std::string DeviceRunner::why_not() {
  int devices = 0;
  const cudaError_t error = cudaGetDeviceCount(&devices);
  if (error == cudaSuccess && devices > 0) return {};
  return std::string("no GPU here: ") + cudaGetErrorString(error);
}

Bytes DeviceRunner::reduce(RedOp op, DataType type, const Bytes& a, const Bytes& b,
                           std::size_t shift) {
  const OnDevice x(a, shift * size_of(type)), y(b), out{Bytes(a.size())};
  expect_done(cuda::reduce(op, type, out.at(), x.at(), y.at(), a.size() / size_of(type), nullptr));
  const Bytes apart = out.content();
  // In place, either way, is the same.
  expect_done(cuda::reduce(op, type, y.at(), x.at(), y.at(), a.size() / size_of(type), nullptr));
  EXPECT_EQ(y.content(), apart);
  return apart;
}

Bytes DeviceRunner::average(DataType type, const Bytes& sums, std::uint32_t world_size) {
  const OnDevice data(sums);
  expect_done(cuda::finalize(RedOp::avg, type, data.at(), sums.size() / size_of(type), world_size,
                             nullptr));
  return data.content();
}

QuantizedBytes DeviceRunner::quantize(const StepCase& step) {
  const Quantization& q = step.quantization;
  const std::size_t count = step.values->size() / size_of(q.type);
  QuantizedBytes out = step.in != nullptr ? *step.in : QuantizedBytes(Quantizer(q), count);
  const OnDevice codes(out.codes, step.shift.code_bytes), ranges(out.ranges),
      values(*step.values, step.shift.elements * size_of(q.type));
  std::unique_ptr<OnDevice> residual;
  if (step.residual != nullptr)
    residual = std::make_unique<OnDevice>(step.residual->data(), count * sizeof(float),
                                          step.shift.elements * sizeof(float));
  const cuda::Codes place{codes.at(), ranges.at()};
  expect_done(cuda::quantize(
      q.type, q.code,
      {.out = place,
       .in = step.in != nullptr ? place : cuda::Codes{},
       .values = values.at(),
       .residual = residual != nullptr ? static_cast<float*>(residual->at()) : nullptr,
       .count = count,
       .block_elements = q.block_elements,
       .levels = q.levels,
       .op = step.op,
       .world_size = step.world_size},
      nullptr));
  out.codes = codes.content();
  out.ranges = ranges.content();
  if (residual != nullptr) residual->read(step.residual->data());
  return out;
}

Bytes DeviceRunner::dequantize(const Quantization& q, const QuantizedBytes& in, std::size_t count,
                               Shift shift) {
  const OnDevice codes(in.codes, shift.code_bytes), ranges(in.ranges),
      out(Bytes(count * size_of(q.type)), shift.elements * size_of(q.type));
  expect_done(cuda::dequantize(
      q.type, q.code, {out.at(), {codes.at(), ranges.at()}, count, q.block_elements, q.levels},
      nullptr));
  return out.content();
}

std::vector<Digest> DeviceRunner::digests(const std::vector<Bytes>& inputs) {
  std::vector<std::unique_ptr<OnDevice>> memory;
  std::vector<cuda::DigestJob> jobs;
  for (const Bytes& input : inputs) {
    memory.push_back(std::make_unique<OnDevice>(input));
    jobs.push_back({static_cast<const std::byte*>(memory.back()->at()), input.size()});
  }
  std::vector<Digest> digests(inputs.size());
  static_assert(sizeof(Digest) == 16);
  const OnDevice on_device(jobs.data(), jobs.size() * sizeof(cuda::DigestJob)),
      secret(XXH3_kSecret, 192), octets(digests.data(), 16 * digests.size());
  expect_done(cuda::digest(static_cast<const cuda::DigestJob*>(on_device.at()), jobs.size(),
                           static_cast<std::uint8_t*>(octets.at()),
                           static_cast<const std::byte*>(secret.at()), nullptr));
  octets.read(digests.data());
  return digests;
}

}  // namespace pccl::kernels
