#include <algorithm>
#include <cstring>

#define XXH_INLINE_ALL  // for the secret
#include <xxhash.h>

#include "kernels/cuda/digest_body.hpp"
#include "kernels/cuda/quantize_body.hpp"
#include "kernels/cuda/reduce_body.hpp"
#include "runner.hpp"

namespace pccl::kernels {

using reference::Bytes;
using reference::QuantizedBytes;

namespace {

constexpr std::size_t threads = 7;

struct HostTeam {
  template <typename F>
  void each(std::size_t count, F f) {
    for (std::size_t i = count; i-- > 0;) f(i);  // any order will do
  }
  template <typename Bits, typename F>
  Extremes extremes(std::size_t count, F f) {
    cuda::Scan<Bits> of_threads[threads], all;
    each(count, [&](std::size_t i) { of_threads[i % threads].see(f(i)); });
    for (const cuda::Scan<Bits>& scan : of_threads) all.unite(scan);
    return all.extremes();
  }
};

class HostDigestTeam {
 public:
  void begin() {
    for (unsigned word = 0; word < D::words; ++word) accumulators_[word] = D::begun(word);
  }
  void add(const std::byte* input, std::size_t stripes, const std::byte* secret) {
    for (unsigned thread = 0; thread < cuda::digest_threads; ++thread) {
      const D::Part part = D::part(input, stripes, secret, thread);
      accumulators_[thread % D::words] += part.product;
      accumulators_[(thread % D::words) ^ 1] += part.word;
    }
  }
  void scramble(const std::byte* secret) {
    for (unsigned word = 0; word < D::words; ++word)
      accumulators_[word] = D::scrambled(accumulators_[word], word, secret);
  }
  void finish(std::uint64_t bytes, const std::byte* secret, std::uint8_t* octets) {
    D::finish(accumulators_, bytes, secret, octets);
  }

 private:
  using D = cuda::LongDigest;
  std::uint64_t accumulators_[D::words] = {};
};

// Calls f.operator()<type, code>().
template <typename F>
void with_coder(const Quantization& q, F f) {
  cuda::with_float_type(q.type, [&]<DataType type>() {
    cuda::with_code(q.code, [&]<Code code>() { f.template operator()<type, code>(); });
  });
}

// Memory that is aligned, and then shifted.
class Shifted {
 public:
  Shifted(const Bytes& data, std::size_t bytes)
      : memory_((data.size() + bytes) / sizeof(Word) + 1), shift_(bytes) {
    if (!data.empty()) std::memcpy(this->data(), data.data(), data.size());
  }
  std::byte* data() { return reinterpret_cast<std::byte*>(memory_.data()) + shift_; }

 private:
  struct alignas(16) Word {
    std::byte bytes[16];
  };
  std::vector<Word> memory_;
  std::size_t shift_;
};

}  // namespace

Bytes HostRunner::reduce(RedOp op, DataType type, const Bytes& a, const Bytes& b,
                         std::size_t shift) {
  Shifted x(a, shift * size_of(type)), y(b, 0);
  Bytes out(a.size());
  Shifted to(out, 0);
  const std::size_t count = a.size() / size_of(type);
  cuda::with_type(type, [&]<DataType t>() {
    cuda::with_op(op, [&]<RedOp o>() {
      for (std::size_t thread = 0; thread < threads; ++thread)
        if (shift == 0)
          cuda::reduce_part<t, o, true>(to.data(), x.data(), y.data(), count, thread, threads);
        else
          cuda::reduce_part<t, o, false>(to.data(), x.data(), y.data(), count, thread, threads);
    });
  });
  std::copy_n(to.data(), out.size(), out.data());
  return out;
}

Bytes HostRunner::average(DataType type, const Bytes& sums, std::uint32_t world_size) {
  Bytes out = sums;
  cuda::with_type(type, [&]<DataType t>() {
    for (std::size_t thread = 0; thread < threads; ++thread)
      cuda::average_part<t>(out.data(), sums.size() / size_of(type), world_size, thread, threads);
  });
  return out;
}

QuantizedBytes HostRunner::quantize(const StepCase& step) {
  const Quantization& q = step.quantization;
  const std::size_t count = step.values->size() / size_of(q.type);
  QuantizedBytes out = step.in != nullptr ? *step.in : QuantizedBytes(Quantizer(q), count);
  const cuda::Codes place{out.codes.data(), out.ranges.data()};
  const cuda::QuantizeStep work{
      .out = place,
      .in = step.in != nullptr ? place : cuda::Codes{},
      .values = step.values->data(),
      .residual = step.residual != nullptr ? step.residual->data() : nullptr,
      .count = count,
      .block_elements = q.block_elements,
      .levels = q.levels,
      .op = step.op,
      .world_size = step.world_size};
  with_coder(q, [&]<DataType type, Code code>() {
    std::vector<typename cuda::BlockCoder<type, code>::Real> meant(q.block_elements);
    HostTeam team;
    for (std::size_t block = 0; block < Quantizer(q).block_count(count); ++block)
      cuda::quantize_block<type, code>(team, work, block, meant.data());
  });
  return out;
}

Bytes HostRunner::dequantize(const Quantization& q, const QuantizedBytes& in, std::size_t count) {
  QuantizedBytes codes = in;
  Bytes out(count * size_of(q.type));
  const cuda::DequantizeStep work{
      out.data(), {codes.codes.data(), codes.ranges.data()}, count, q.block_elements, q.levels};
  with_coder(q, [&]<DataType type, Code code>() {
    HostTeam team;
    for (std::size_t block = 0; block < Quantizer(q).block_count(count); ++block)
      cuda::dequantize_block<type, code>(team, work, block);
  });
  return out;
}

std::vector<Digest> HostRunner::digests(const std::vector<Bytes>& inputs) {
  std::vector<Digest> digests;
  for (const Bytes& input : inputs) {
    HostDigestTeam team;
    cuda::digest_block(team, input.data(), input.size(),
                       reinterpret_cast<const std::byte*>(XXH3_kSecret),
                       digests.emplace_back().octets.data());
  }
  return digests;
}

}  // namespace pccl::kernels
