#include "chaos/contribution.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "chaos/mix.hpp"
#include "e2e/values.hpp"

namespace chaos {

namespace {

bool is_tiny(const Op& op) {
  return op.count < slots;
}

// All that a pcclAvg of up to `slots` peers leaves whole: the least common multiple of 1..10.
constexpr std::int64_t divisible = 2520;

constexpr std::int64_t smallest_mark = 1, marks = 100;

std::int64_t mark_of(const Op& op, const Launch& launch) {
  // The average of the mark and nothing must not vanish.
  if (op.op == pcclAvg) return e2e::is_floating(op.type) ? divisible : 120;
  const auto mark = static_cast<std::int64_t>(mix(launch.number) % marks) + smallest_mark;
  return op.op == pcclProd ? mark + 1 : mark;
}

std::int64_t neutral(const Op& op) {
  switch (op.op) {
    case pcclProd:
      return 1;
    case pcclMin:
      return smallest_mark + marks;  // above every mark
    default:
      return 0;
  }
}

// Of magnitude up to `most`.
std::int64_t small(std::uint64_t mixed, std::int64_t most, bool with_sign) {
  const auto range = static_cast<std::uint64_t>(with_sign ? 2 * most + 1 : most + 1);
  return static_cast<std::int64_t>(mixed % range) - (with_sign ? most : 0);
}

std::int64_t number_at(const Op& op, std::uint64_t launch_seed, std::uint32_t slot,
                       std::size_t index) {
  const std::uint64_t mixed = mix(launch_seed ^ index);
  const bool with_sign = e2e::is_signed(op.type);
  if (op.op == pcclProd)  // at most two contribute a factor of two: bfloat16 has 8 bits
    return index % slots == slot || (index + 3) % slots == slot ? 2 : 1;
  if (op.op == pcclAvg) {
    if (e2e::is_floating(op.type)) return divisible * small(mixed, 300, true);
    return small(mixed, e2e::size_of(op.type) == 1 ? 12 : 3000, with_sign);
  }
  switch (op.type) {  // ten of them are exact in the type
    case pcclFloat16:
      return small(mixed, 200, true);
    case pcclBFloat16:
      return small(mixed, 25, true);
    case pcclFloat:
      return small(mixed, 1 << 20, true);
    case pcclDouble:
      return small(mixed, std::int64_t{1} << 48, true);
    default:
      return static_cast<std::int64_t>(mixed);
  }
}

std::int64_t value_at(const Op& op, const Launch& launch, std::uint64_t launch_seed,
                      std::size_t index) {
  if (is_tiny(op) && index == 0) return std::int64_t{1} << launch.slot;
  if (!is_tiny(op) && index < slots)
    return index == launch.slot ? mark_of(op, launch) : neutral(op);
  return number_at(op, launch_seed, launch.slot, index);
}

std::uint64_t seed_of(const Op& op, const Launch& launch) {
  return mix({launch.number, launch.slot, op.step, op.index});
}

// Cut to the width of the type, as a store and a load do.
std::int64_t as_stored(pcclDataType_t type, std::int64_t value) {
  switch (type) {
    case pcclUint8:
      return static_cast<std::uint8_t>(value);
    case pcclInt8:
      return static_cast<std::int8_t>(value);
    case pcclUint16:
      return static_cast<std::uint16_t>(value);
    case pcclInt16:
      return static_cast<std::int16_t>(value);
    case pcclUint32:
      return static_cast<std::uint32_t>(value);
    case pcclInt32:
      return static_cast<std::int32_t>(value);
    default:
      return value;
  }
}

std::int64_t combine(const Op& op, std::int64_t a, std::int64_t b) {
  const auto x = static_cast<std::uint64_t>(a), y = static_cast<std::uint64_t>(b);
  const bool wide = op.type == pcclUint64;  // its numbers compare as what they are
  switch (op.op) {
    case pcclProd:
      return as_stored(op.type, static_cast<std::int64_t>(x * y));
    case pcclMax:
      return wide ? static_cast<std::int64_t>(std::max(x, y)) : std::max(a, b);
    case pcclMin:
      return wide ? static_cast<std::int64_t>(std::min(x, y)) : std::min(a, b);
    default:
      return as_stored(op.type, static_cast<std::int64_t>(x + y));
  }
}

bool is_zero_or(const Op& op, const std::byte* element, std::int64_t lowest, std::int64_t highest,
                bool& zero) {
  std::byte right[8];
  const std::size_t bytes = e2e::size_of(op.type);
  e2e::put(right, op.type, neutral(op));
  zero = std::memcmp(right, element, bytes) == 0;
  if (zero) return true;
  for (std::int64_t value = lowest; value <= highest; ++value) {
    e2e::put(right, op.type, value);
    if (std::memcmp(right, element, bytes) == 0) return true;
  }
  return false;
}

}  // namespace

std::vector<std::byte> contribution(const Op& op, const Launch& launch) {
  const std::size_t element = e2e::size_of(op.type);
  const std::uint64_t seed = seed_of(op, launch);
  std::vector<std::byte> buffer(op.bytes());
  for (std::size_t i = 0; i < op.count; ++i)
    e2e::put(buffer.data() + i * element, op.type, value_at(op, launch, seed, i));
  return buffer;
}

std::vector<std::byte> expected(const Op& op, const std::vector<Launch>& contributors) {
  const std::size_t element = e2e::size_of(op.type);
  const auto world = static_cast<std::int64_t>(contributors.size());
  std::vector<std::uint64_t> seeds;
  for (const Launch& launch : contributors) seeds.push_back(seed_of(op, launch));
  std::vector<std::byte> buffer(op.bytes());
  for (std::size_t i = 0; i < op.count; ++i) {
    std::int64_t result = as_stored(op.type, value_at(op, contributors[0], seeds[0], i));
    for (std::size_t c = 1; c < contributors.size(); ++c)
      result = combine(op, result, as_stored(op.type, value_at(op, contributors[c], seeds[c], i)));
    e2e::put(buffer.data() + i * element, op.type, op.op == pcclAvg ? result / world : result);
  }
  return buffer;
}

std::optional<std::uint32_t> contributors_in(const Op& op, const std::vector<std::byte>& result) {
  const std::size_t element = e2e::size_of(op.type);
  if (is_tiny(op)) {
    std::byte right[8];
    for (std::uint32_t mask = 1; mask < 1U << slots; ++mask) {
      e2e::put(right, op.type, mask);
      if (std::memcmp(right, result.data(), element) == 0) return mask;
    }
    return std::nullopt;
  }
  std::uint32_t mask = 0;
  const bool average = op.op == pcclAvg;
  for (std::uint32_t slot = 0; slot < slots; ++slot) {
    bool nobody = false;
    if (!is_zero_or(op, result.data() + slot * element, 1, average ? divisible : marks + 1, nobody))
      return std::nullopt;
    if (!nobody) mask |= 1U << slot;
  }
  return mask;
}

}  // namespace chaos
