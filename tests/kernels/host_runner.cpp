#include <algorithm>
#include <cstring>

#define XXH_INLINE_ALL  // for the secret
#include <xxhash.h>

#include "host_kernels.hpp"
#include "runner.hpp"

namespace pccl::kernels {

using reference::Bytes;
using reference::QuantizedBytes;

namespace {

// Memory that is aligned, and then shifted.
class Shifted {
 public:
  Shifted() = default;
  Shifted(const void* data, std::size_t bytes, std::size_t shift)
      : memory_((bytes + shift) / sizeof(Word) + 1), shift_(shift) {
    if (bytes > 0) std::memcpy(this->data(), data, bytes);
  }
  Shifted(const Bytes& data, std::size_t shift) : Shifted(data.data(), data.size(), shift) {}
  std::byte* data() {
    return memory_.empty() ? nullptr : reinterpret_cast<std::byte*>(memory_.data()) + shift_;
  }

 private:
  struct alignas(16) Word {
    std::byte bytes[16];
  };
  std::vector<Word> memory_;
  std::size_t shift_ = 0;
};

}  // namespace

Bytes HostRunner::reduce(RedOp op, DataType type, const Bytes& a, const Bytes& b,
                         std::size_t shift) {
  Shifted x(a, shift * size_of(type)), y(b, 0);
  Bytes out(a.size());
  Shifted to(out, 0);
  on_host::reduce(op, type, to.data(), x.data(), y.data(), a.size() / size_of(type));
  std::copy_n(to.data(), out.size(), out.data());
  return out;
}

Bytes HostRunner::average(DataType type, const Bytes& sums, std::uint32_t world_size) {
  Bytes out = sums;
  on_host::finalize(RedOp::avg, type, out.data(), sums.size() / size_of(type), world_size);
  return out;
}

QuantizedBytes HostRunner::quantize(const StepCase& step) {
  const Quantization& q = step.quantization;
  const std::size_t count = step.values->size() / size_of(q.type);
  QuantizedBytes out = step.in != nullptr ? *step.in : QuantizedBytes(Quantizer(q), count);
  Shifted codes(out.codes, step.shift.code_bytes);
  Shifted values(*step.values, step.shift.elements * size_of(q.type));
  Shifted residual;
  if (step.residual != nullptr)
    residual = {step.residual->data(), count * sizeof(float), step.shift.elements * sizeof(float)};
  const cuda::Codes place{codes.data(), out.ranges.data()};
  on_host::quantize(q.type, q.code,
                    {.out = place,
                     .in = step.in != nullptr ? place : cuda::Codes{},
                     .values = values.data(),
                     .residual = reinterpret_cast<float*>(residual.data()),
                     .count = count,
                     .block_elements = q.block_elements,
                     .levels = q.levels,
                     .op = step.op,
                     .world_size = step.world_size});
  std::copy_n(codes.data(), out.codes.size(), out.codes.data());
  if (step.residual != nullptr)
    std::memcpy(step.residual->data(), residual.data(), count * sizeof(float));
  return out;
}

Bytes HostRunner::dequantize(const Quantization& q, const QuantizedBytes& in, std::size_t count,
                             Shift shift) {
  Bytes ranges = in.ranges, out(count * size_of(q.type));
  Shifted codes(in.codes, shift.code_bytes), to(out, shift.elements * size_of(q.type));
  on_host::dequantize(
      q.type, q.code,
      {to.data(), {codes.data(), ranges.data()}, count, q.block_elements, q.levels});
  std::copy_n(to.data(), out.size(), out.data());
  return out;
}

std::vector<Digest> HostRunner::digests(const std::vector<Bytes>& inputs) {
  std::vector<Digest> digests(inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const cuda::DigestJob job{inputs[i].data(), inputs[i].size()};
    on_host::digest(&job, 1, digests[i].octets.data(),
                    reinterpret_cast<const std::byte*>(XXH3_kSecret));
  }
  return digests;
}

}  // namespace pccl::kernels
