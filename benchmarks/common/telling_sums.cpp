#include "common/telling_sums.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace bench {

namespace {

constexpr std::size_t slot_words = 4;  // one, iteration, salt, id
constexpr std::size_t front = slots * slot_words;

// A prime number of elements, so that no segment boundary falls on a whole number of periods; 16
// KiB, so that comparing costs one pass over the tensor and not two.
constexpr std::size_t period = 4099;
using Block = std::array<float, period>;

const Block& pattern() {
  static const Block block = [] {
    Block made;
    std::uint32_t state = 12345;
    for (float& element : made) {
      state = state * 1664525 + 1013904223;
      element = static_cast<float>(state >> 24);
    }
    return made;
  }();
  return block;
}

void add_pattern(Block& block, const Contribution& from, int tensor_index) {
  const std::size_t shift = (static_cast<std::size_t>(from.id) * 37 + from.salt * std::size_t{101} +
                             static_cast<std::size_t>(tensor_index) * 977) %
                            period;
  const Block& base = pattern();
  for (std::size_t i = 0; i < period - shift; ++i) block[i] += base[i + shift];
  for (std::size_t i = period - shift; i < period; ++i) block[i] += base[i + shift - period];
}

std::size_t differing(const float* left, const float* right, std::size_t count) {
  if (std::memcmp(left, right, count * sizeof(float)) == 0) return 0;
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < count; ++i) wrong += left[i] != right[i];
  return std::max(wrong, std::size_t{1});
}

}  // namespace

void write_contribution(float* tensor, std::size_t count, int tensor_index,
                        const Contribution& mine) {
  std::fill_n(tensor, front, 0.0F);
  float* const slot = tensor + static_cast<std::size_t>(mine.id % slots) * slot_words;
  slot[0] = 1;
  slot[1] = static_cast<float>(mine.iteration);
  slot[2] = static_cast<float>(mine.salt);
  slot[3] = static_cast<float>(mine.id);
  Block block{};
  add_pattern(block, mine, tensor_index);
  for (std::size_t at = front; at < count; at += period) {
    std::copy_n(block.data(), std::min(period, count - at), tensor + at);
  }
}

Reading read_sum(const float* tensor, std::size_t count, int tensor_index) {
  Reading reading;
  Block expected{};
  reading.digest = 0xcbf29ce484222325;  // FNV-1a over the words of the slots
  for (int index = 0; index < slots; ++index) {
    const float* const slot = tensor + static_cast<std::size_t>(index) * slot_words;
    for (std::size_t word = 0; word < slot_words; ++word) {
      std::uint32_t bits;
      std::memcpy(&bits, slot + word, sizeof bits);
      reading.digest = (reading.digest ^ bits) * 0x100000001b3;
    }
    if (slot[0] == 0) {
      reading.wrong += slot[1] != 0 || slot[2] != 0 || slot[3] != 0;
      continue;
    }
    const bool plausible = slot[0] == 1 && slot[1] >= 0 && slot[2] >= 0 && slot[3] >= 0;
    if (!plausible || static_cast<int>(slot[3]) % slots != index) {
      ++reading.wrong;  // for example a peer counted twice
      continue;
    }
    const Contribution from{static_cast<int>(slot[3]), static_cast<std::uint32_t>(slot[1]),
                            static_cast<std::uint32_t>(slot[2])};
    reading.contributors |= std::uint64_t{1} << index;
    reading.iteration = std::max(reading.iteration, from.iteration);
    add_pattern(expected, from, tensor_index);
  }
  for (std::size_t at = front; at < count; at += period) {
    reading.wrong += differing(tensor + at, expected.data(), std::min(period, count - at));
  }
  return reading;
}

}  // namespace bench
