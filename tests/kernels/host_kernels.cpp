#include "host_kernels.hpp"

#include <array>

#include "kernels/cuda/digest_body.hpp"
#include "kernels/cuda/lanes_body.hpp"
#include "kernels/cuda/reduce_body.hpp"

namespace pccl::kernels::on_host {

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
  template <typename L>
  using Lanes = std::array<L, cuda::warp_threads>;
  template <typename L, typename F>
  void each_lane(Lanes<L>& lanes, F f) {
    for (unsigned i = cuda::warp_threads; i-- > 0;) f(lanes[i], i);
  }
  template <typename L>
  Extremes extremes_of(Lanes<L>& lanes) {
    auto all = lanes[0].scan();
    for (L& lane : lanes) all.unite(lane.scan());
    return all.extremes();
  }
};

class HostDigestTeam {
 public:
  explicit HostDigestTeam(const std::byte* secret) : secret_(secret) {
    for (unsigned word = 0; word < D::words; ++word) accumulators_[word] = D::begun(word);
  }
  void add_blocks(const std::byte* input, std::uint64_t blocks) {
    for (; blocks > 0; --blocks, input += D::block_bytes) {
      add([&](unsigned thread) {
        return D::part_of_block(D::words_at(input, thread), D::keys_at(secret_, thread));
      });
      for (unsigned word = 0; word < D::words; ++word)
        accumulators_[word] = D::scrambled(accumulators_[word], D::scramble_key_at(secret_, word));
    }
  }
  void add_stripes(const std::byte* block, std::size_t stripes) {
    add([&](unsigned thread) {
      return D::part_of_stripes(block, stripes, D::keys_at(secret_, thread), thread);
    });
  }
  void add_stripe(const std::byte* input, const std::byte* secret) {
    add([&](unsigned thread) { return D::part_of_stripe(input, secret, thread); });
  }
  void finish(std::uint64_t bytes, const std::byte* secret, std::uint8_t* octets) {
    D::finish(accumulators_, bytes, secret, octets);
  }

 private:
  using D = cuda::LongDigest;

  template <typename F>
  void add(F part_of) {
    for (unsigned thread = 0; thread < cuda::warp_threads; ++thread) {
      const D::Part part = part_of(thread);
      accumulators_[thread % D::words] += part.product;
      accumulators_[(thread % D::words) ^ 1] += part.word;
    }
  }

  const std::byte* secret_;
  std::uint64_t accumulators_[D::words] = {};
};

// Calls f.operator()<type, code>().
template <typename F>
void with_coder(DataType type, Code code, F f) {
  cuda::with_float_type(type, [&]<DataType t>() {
    cuda::with_code(code, [&]<Code c>() { f.template operator()<t, c>(); });
  });
}

}  // namespace

void reduce(RedOp op, DataType type, void* out, const void* a, const void* b, std::size_t count) {
  const bool vectors = cuda::are_vectors(out, a, b);
  cuda::with_type(type, [&]<DataType t>() {
    cuda::with_op(op, [&]<RedOp o>() {
      for (std::size_t thread = 0; thread < threads; ++thread)
        if (vectors)
          cuda::reduce_part<t, o, true>(out, a, b, count, thread, threads);
        else
          cuda::reduce_part<t, o, false>(out, a, b, count, thread, threads);
    });
  });
}

void finalize(RedOp op, DataType type, void* data, std::size_t count, std::uint32_t world_size) {
  if (op != RedOp::avg) return;
  cuda::with_type(type, [&]<DataType t>() {
    for (std::size_t thread = 0; thread < threads; ++thread)
      cuda::average_part<t>(data, count, world_size, thread, threads);
  });
}

void quantize(DataType type, Code code, const cuda::QuantizeStep& step) {
  with_coder(type, code, [&]<DataType t, Code c>() {
    HostTeam team;
    for (std::size_t block = 0; block < cuda::block_count(step.count, step.block_elements); ++block)
      if (step.in.codes != nullptr)
        cuda::quantize_any<t, c, true>(team, step, block);
      else
        cuda::quantize_any<t, c, false>(team, step, block);
  });
}

void dequantize(DataType type, Code code, const cuda::DequantizeStep& step) {
  with_coder(type, code, [&]<DataType t, Code c>() {
    HostTeam team;
    for (std::size_t block = 0; block < cuda::block_count(step.count, step.block_elements); ++block)
      cuda::dequantize_any<t, c>(team, step, block);
  });
}

void digest(const cuda::DigestJob* jobs, std::size_t count, std::uint8_t* octets,
            const std::byte* secret) {
  for (std::size_t job = 0; job < count; ++job) {
    HostDigestTeam team(secret);
    cuda::digest_job(team, jobs[job].input, jobs[job].bytes, secret, octets + 16 * job);
  }
}

}  // namespace pccl::kernels::on_host
