// XXH3-128 of long inputs (the algorithm: xxhash.com, "XXH3", unseeded, default secret) on a GPU.
//
// The input is read in stripes of 64 bytes, eight words each; sixteen stripes and a *scramble* are
// a block. What a word adds to the eight accumulators does not depend on them, so that the threads
// of a warp work on the stripes of a block at once, four words each, and their sums are added up
// word by word; only the scrambles follow each other.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/anywhere.hpp"
#include "kernels/cuda/steps.hpp"

namespace pccl::kernels::cuda {

class LongDigest {
 public:
  static constexpr std::size_t words = 8;  // accumulators, and words of a stripe
  static constexpr std::size_t stripe_bytes = 64, secret_bytes = 192;
  static constexpr std::size_t stripes_of_block = (secret_bytes - stripe_bytes) / 8;
  static constexpr std::size_t block_bytes = stripes_of_block * stripe_bytes;
  static constexpr std::size_t words_of_thread = stripes_of_block * words / warp_threads;

  // What one thread adds to accumulator thread % 8.
  struct Part {
    std::uint64_t product = 0;  // to its own word's
    std::uint64_t word = 0;     // to the neighbour's

    PCCL_ANYWHERE void take(std::uint64_t value, std::uint64_t key) {
      const std::uint64_t mixed = value ^ key;
      product += (mixed & 0xffff'ffff) * (mixed >> 32);
      word += value;
    }
  };

  // The words that a thread takes of a block, and those of the secret that go with them.
  struct Words {
    std::uint64_t of_stripe[words_of_thread];
  };
  // `block` and `secret` are aligned to eight bytes.
  PCCL_ANYWHERE static Words words_at(const std::byte* block, unsigned thread) {
    Words all;
    for (unsigned i = 0; i < words_of_thread; ++i) all.of_stripe[i] = word_at(block, thread, i);
    return all;
  }
  PCCL_ANYWHERE static Words keys_at(const std::byte* secret, unsigned thread) {
    Words all;
    for (unsigned i = 0; i < words_of_thread; ++i)
      all.of_stripe[i] = aligned_word(secret + stripe(thread, i) * 8 + thread % words * 8);
    return all;
  }
  PCCL_ANYWHERE static std::uint64_t scramble_key_at(const std::byte* secret, unsigned word) {
    return aligned_word(secret + secret_bytes - stripe_bytes + word * 8);
  }

  PCCL_ANYWHERE static Part part_of_block(const Words& block, const Words& keys) {
    Part part;
    for (unsigned i = 0; i < words_of_thread; ++i) part.take(block.of_stripe[i], keys.of_stripe[i]);
    return part;
  }

  // Of the first stripes of a block, behind which there may be nothing to read.
  PCCL_ANYWHERE static Part part_of_stripes(const std::byte* block, std::size_t stripes,
                                            const Words& keys, unsigned thread) {
    Part part;
    for (unsigned i = 0; i < words_of_thread; ++i)
      if (stripe(thread, i) < stripes) part.take(word_at(block, thread, i), keys.of_stripe[i]);
    return part;
  }

  // Of one stripe; neither it nor the secret is aligned.
  PCCL_ANYWHERE static Part part_of_stripe(const std::byte* input, const std::byte* secret,
                                           unsigned thread) {
    Part part;
    if (thread < words) part.take(read(input + thread * 8), read(secret + thread * 8));
    return part;
  }

  PCCL_ANYWHERE static constexpr std::uint64_t begun(unsigned word) {
    constexpr std::uint64_t start[words] = {prime32_3, prime64_1, prime64_2, prime64_3,
                                            prime64_4, prime32_2, prime64_5, prime32_1};
    return start[word];
  }

  PCCL_ANYWHERE static std::uint64_t scrambled(std::uint64_t accumulator, std::uint64_t key) {
    return (accumulator ^ accumulator >> 47 ^ key) * prime32_1;
  }

  // Of all accumulators, in the canonical (big-endian) form.
  PCCL_ANYWHERE static void finish(const std::uint64_t* accumulators, std::uint64_t bytes,
                                   const std::byte* secret, std::uint8_t* octets) {
    const std::uint64_t low = merged(accumulators, secret + 11, bytes * prime64_1);
    const std::uint64_t high =
        merged(accumulators, secret + secret_bytes - stripe_bytes - 11, ~(bytes * prime64_2));
    for (unsigned i = 0; i < 8; ++i) {
      octets[i] = static_cast<std::uint8_t>(high >> (56 - 8 * i));
      octets[8 + i] = static_cast<std::uint8_t>(low >> (56 - 8 * i));
    }
  }

 private:
  static constexpr std::uint64_t prime32_1 = 0x9e37'79b1, prime32_2 = 0x85eb'ca77,
                                 prime32_3 = 0xc2b2'ae3d;
  static constexpr std::uint64_t prime64_1 = 0x9e37'79b1'85eb'ca87,
                                 prime64_2 = 0xc2b2'ae3d'27d4'eb4f,
                                 prime64_3 = 0x1656'67b1'9e37'79f9,
                                 prime64_4 = 0x85eb'ca77'c2b2'ae63,
                                 prime64_5 = 0x27d4'eb2f'1656'67c5;

  static constexpr unsigned stripe(unsigned thread, unsigned i) {
    return thread / unsigned{words} + i * (warp_threads / unsigned{words});
  }

  PCCL_ANYWHERE static std::uint64_t word_at(const std::byte* block, unsigned thread, unsigned i) {
    return aligned_word(block + stripe(thread, i) * stripe_bytes + thread % words * 8);
  }

  PCCL_ANYWHERE static std::uint64_t aligned_word(const std::byte* from) {
    return *reinterpret_cast<const std::uint64_t*>(from);
  }

  // Little-endian, any alignment.
  PCCL_ANYWHERE static std::uint64_t read(const std::byte* from) {
    std::uint64_t value = 0;
    for (unsigned i = 0; i < 8; ++i)
      value |= static_cast<std::uint64_t>(std::to_integer<std::uint8_t>(from[i])) << (8 * i);
    return value;
  }

  // Both halves of the 128-bit product, combined.
  PCCL_ANYWHERE static constexpr std::uint64_t folded_product(std::uint64_t a, std::uint64_t b) {
    const std::uint64_t a_low = a & 0xffff'ffff, a_high = a >> 32;
    const std::uint64_t b_low = b & 0xffff'ffff, b_high = b >> 32;
    const std::uint64_t low = a_low * b_low, high = a_high * b_high;
    const std::uint64_t cross = a_high * b_low + (low >> 32);
    const std::uint64_t other = a_low * b_high + (cross & 0xffff'ffff);
    const std::uint64_t upper = high + (cross >> 32) + (other >> 32);
    return upper ^ (other << 32 | (low & 0xffff'ffff));
  }

  PCCL_ANYWHERE static std::uint64_t merged(const std::uint64_t* accumulators,
                                            const std::byte* secret, std::uint64_t start) {
    std::uint64_t sum = start;
    for (unsigned i = 0; i < words; i += 2)
      sum += folded_product(accumulators[i] ^ read(secret + 8 * i),
                            accumulators[i + 1] ^ read(secret + 8 * i + 8));
    sum ^= sum >> 37;
    sum *= 0x1656'6791'9e37'79f9;
    return sum ^ sum >> 32;
  }
};

// A team of warp_threads keeps the accumulators, begun() at first. add_blocks() goes through whole
// blocks; add_stripes() and add_stripe() add some stripes of a block, or one that lies anyhow, with
// its secret: products to accumulator thread % 8, words to its neighbour, thread % 8 ^ 1. finish()
// is the one above.
//
// `bytes` is at least shortest_device_digest.
template <typename Team>
PCCL_ANYWHERE inline void digest_job(Team& team, const std::byte* input, std::uint64_t bytes,
                                     const std::byte* secret, std::uint8_t* octets) {
  using D = LongDigest;
  const std::uint64_t blocks = (bytes - 1) / D::block_bytes;
  const std::uint64_t rest = bytes - 1 - blocks * D::block_bytes;
  team.add_blocks(input, blocks);
  team.add_stripes(input + blocks * D::block_bytes, rest / D::stripe_bytes);
  team.add_stripe(input + bytes - D::stripe_bytes, secret + D::secret_bytes - D::stripe_bytes - 7);
  team.finish(bytes, secret, octets);
}

}  // namespace pccl::kernels::cuda
