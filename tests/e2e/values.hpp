// Inputs and expected results of an all-reduce that any process can compute for itself: small whole
// numbers, exact in every type and whatever the order of the reduction.
#pragma once

#include <pccl.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

namespace e2e {

inline std::size_t size_of(pcclDataType_t type) {
  switch (type) {
    case pcclUint8:
    case pcclInt8:
      return 1;
    case pcclInt16:
    case pcclUint16:
    case pcclFloat16:
    case pcclBFloat16:
      return 2;
    case pcclUint32:
    case pcclInt32:
    case pcclFloat:
      return 4;
    case pcclUint64:
    case pcclInt64:
    case pcclDouble:
      return 8;
    default:  // the types of codes are no element's
      return 0;
  }
}

inline bool is_floating(pcclDataType_t type) {
  return type >= pcclFloat16;
}
inline bool is_signed(pcclDataType_t type) {
  return type == pcclInt8 || type == pcclInt16 || type == pcclInt32 || type == pcclInt64 ||
         is_floating(type);
}

// A whole number of magnitude up to 2048 as IEEE binary16.
inline std::uint16_t half_of(std::int64_t value) {
  if (value == 0) return 0;
  const auto magnitude = static_cast<std::uint32_t>(value < 0 ? -value : value);
  const auto exponent = static_cast<std::uint32_t>(std::bit_width(magnitude)) - 1;
  const std::uint32_t fraction = (magnitude << (10 - exponent)) & 0x3ff;
  return static_cast<std::uint16_t>((value < 0 ? 0x8000U : 0U) | ((exponent + 15) << 10) |
                                    fraction);
}

template <typename Number>
void store(std::byte* at, Number number) {
  std::memcpy(at, &number, sizeof number);
}

inline void put(std::byte* at, pcclDataType_t type, std::int64_t value) {
  switch (type) {
    case pcclUint8:
    case pcclInt8:
      return store(at, static_cast<std::uint8_t>(value));
    case pcclInt16:
    case pcclUint16:
      return store(at, static_cast<std::uint16_t>(value));
    case pcclUint32:
    case pcclInt32:
      return store(at, static_cast<std::uint32_t>(value));
    case pcclUint64:
    case pcclInt64:
      return store(at, static_cast<std::uint64_t>(value));
    case pcclFloat16:
      return store(at, half_of(value));
    case pcclBFloat16:
      return store(at, static_cast<std::uint16_t>(
                           std::bit_cast<std::uint32_t>(static_cast<float>(value)) >> 16));
    case pcclFloat:
      return store(at, static_cast<float>(value));
    case pcclDouble:
      return store(at, static_cast<double>(value));
    default:
      return;
  }
}

// What rank `id` of `world` contributes at `index`.
inline std::int64_t input(std::uint32_t id, std::uint32_t world, std::size_t index,
                          std::uint64_t seed, pcclDataType_t type, pcclRedOp_t op) {
  std::uint64_t mixed =
      (index + 1) * 0x9e3779b97f4a7c15ULL + (id + 1) * 0xbf58476d1ce4e5b9ULL + seed;
  mixed ^= mixed >> 31;
  mixed *= 0x94d049bb133111ebULL;
  mixed ^= mixed >> 29;
  // At most two of 16 ranks contribute a factor of two.
  if (op == pcclProd) return (index + seed + id) % 8 == 0 ? 2 : 1;
  const auto small = static_cast<std::int64_t>(mixed % 7) - (is_signed(type) ? 3 : 0);
  // Integer averages truncate; those of floating-point numbers are made to come out exactly.
  return op == pcclAvg && is_floating(type) ? small * static_cast<std::int64_t>(world) : small;
}

inline std::int64_t expected(std::uint32_t world, std::size_t index, std::uint64_t seed,
                             pcclDataType_t type, pcclRedOp_t op) {
  std::int64_t result = input(0, world, index, seed, type, op);
  for (std::uint32_t id = 1; id < world; ++id) {
    const std::int64_t value = input(id, world, index, seed, type, op);
    switch (op) {
      case pcclSum:
      case pcclAvg:
        result += value;
        break;
      case pcclProd:
        result *= value;
        break;
      case pcclMax:
        result = std::max(result, value);
        break;
      case pcclMin:
        result = std::min(result, value);
        break;
    }
  }
  return op == pcclAvg ? result / static_cast<std::int64_t>(world) : result;
}

// ---- Loops among changing peers: a buffer that says who contributed, checked by everyone --------
//
//   [0] votes to stop · [1] one bit per contributor · [2 + id] the contributor's salt of this round
//   the rest: a sum over the contributors of a number that only (salt, index) determine

inline constexpr std::size_t loop_ids = 32;
inline constexpr std::size_t loop_header = 2 + loop_ids;

inline std::uint32_t noise(std::uint32_t salt, std::size_t index) {
  std::uint32_t mixed = static_cast<std::uint32_t>(index) * 0x85ebca6bU + salt;
  mixed ^= mixed >> 15;
  return mixed * 0x9e3779b1U;
}

inline void fill_round(std::vector<std::uint32_t>& buffer, std::uint32_t id, std::uint32_t salt,
                       bool stop) {
  std::fill_n(buffer.begin(), loop_header, 0U);
  buffer[0] = stop ? 1 : 0;
  buffer[1] = 1U << id;
  buffer[2 + id] = salt;
  for (std::size_t i = loop_header; i < buffer.size(); ++i) buffer[i] = noise(salt, i);
}

// True when the sum is what its own header promises, of `world` distinct contributors.
inline bool round_is_right(const std::vector<std::uint32_t>& sum, std::uint32_t id,
                           std::uint32_t salt, std::uint32_t world) {
  const std::uint32_t mask = sum[1];
  if (static_cast<std::uint32_t>(std::popcount(mask)) != world) return false;
  if ((mask & (1U << id)) == 0 || sum[2 + id] != salt) return false;
  for (std::uint32_t other = 0; other < loop_ids; ++other)
    if ((mask & (1U << other)) == 0 && sum[2 + other] != 0) return false;
  for (std::size_t i = loop_header; i < sum.size(); ++i) {
    std::uint32_t right = 0;
    for (std::uint32_t rest = mask; rest != 0; rest &= rest - 1)
      right += noise(sum[2 + static_cast<std::uint32_t>(std::countr_zero(rest))], i);
    if (sum[i] != right) return false;
  }
  return true;
}

}  // namespace e2e
