// XXH3-128 of long inputs (the algorithm: xxhash.com, "XXH3", unseeded, default secret) on a GPU.
//
// The input is read in stripes of 64 bytes, eight words each. What a word adds to the eight
// accumulators does not depend on them, so that 32 threads work on the sixteen stripes between two
// *scrambles* at once, four words each, and their sums are added up word by word; only the
// scrambles follow each other.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/anywhere.hpp"
#include "kernels/cuda/steps.hpp"

namespace pccl::kernels::cuda {

inline constexpr unsigned digest_threads = 32;

class LongDigest {
 public:
  static constexpr std::size_t words = 8;  // accumulators, and words of a stripe
  static constexpr std::size_t stripe_bytes = 64, secret_bytes = 192;
  static constexpr std::size_t stripes_of_block = (secret_bytes - stripe_bytes) / 8;
  static constexpr std::size_t block_bytes = stripes_of_block * stripe_bytes;
  static constexpr std::size_t words_of_thread = stripes_of_block * words / digest_threads;

  // What one thread adds to accumulator thread % 8.
  struct Part {
    std::uint64_t product = 0;  // to its own word's
    std::uint64_t word = 0;     // to the neighbour's
  };

  // `input` is aligned to eight bytes, except where `stripes` is 1; `secret` anyhow.
  PCCL_ANYWHERE static Part part(const std::byte* input, std::size_t stripes,
                                 const std::byte* secret, unsigned thread) {
    Part part;
    const unsigned word = thread % words;
    for (std::size_t stripe = thread / words; stripe < stripes; stripe += digest_threads / words) {
      const std::uint64_t value = read(input + stripe * stripe_bytes + word * 8);
      const std::uint64_t key = value ^ read(secret + stripe * 8 + word * 8);
      part.product += (key & 0xffff'ffff) * (key >> 32);
      part.word += value;
    }
    return part;
  }

  PCCL_ANYWHERE static constexpr std::uint64_t begun(unsigned word) {
    constexpr std::uint64_t start[words] = {prime32_3, prime64_1, prime64_2, prime64_3,
                                            prime64_4, prime32_2, prime64_5, prime32_1};
    return start[word];
  }

  PCCL_ANYWHERE static std::uint64_t scrambled(std::uint64_t accumulator, unsigned word,
                                               const std::byte* secret) {
    accumulator ^= accumulator >> 47;
    accumulator ^= read(secret + secret_bytes - stripe_bytes + word * 8);
    return accumulator * prime32_1;
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

  // Little-endian, any alignment.
  PCCL_ANYWHERE static std::uint64_t read(const std::byte* from) {
    if (reinterpret_cast<std::uintptr_t>(from) % 8 == 0)
      return *reinterpret_cast<const std::uint64_t*>(from);
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

// A team of digest_threads keeps the accumulators. begin() sets them to begun(); add() adds the
// parts of all threads: the products to accumulator thread % 8, the words to its neighbour, thread
// % 8 ^ 1; scramble() and finish() are those above.
//
// `bytes` is at least shortest_device_digest.
template <typename Team>
PCCL_ANYWHERE inline void digest_block(Team& team, const std::byte* input, std::uint64_t bytes,
                                       const std::byte* secret, std::uint8_t* octets) {
  using D = LongDigest;
  const std::uint64_t blocks = (bytes - 1) / D::block_bytes;
  team.begin();
  for (std::uint64_t block = 0; block < blocks; ++block) {
    team.add(input + block * D::block_bytes, D::stripes_of_block, secret);
    team.scramble(secret);
  }
  const std::uint64_t rest = bytes - 1 - blocks * D::block_bytes;
  team.add(input + blocks * D::block_bytes, rest / D::stripe_bytes, secret);
  team.add(input + bytes - D::stripe_bytes, 1, secret + D::secret_bytes - D::stripe_bytes - 7);
  team.finish(bytes, secret, octets);
}

}  // namespace pccl::kernels::cuda
