// What peers put into an all-reduce, chosen so that the result proves who contributed, once each:
// element i of a peer's input is a common pattern of the op plus an amount of its own. The pattern
// is periodic, and so is every result: comparing a buffer with itself, shifted by a period, is
// fast.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/dtype.hpp"
#include "base/ids.hpp"

namespace pccl::sim {

inline constexpr std::size_t period = 13;  // elements; elements have four bytes

// One all-reduce of the scripted application.
struct OpSpec {
  Tag tag;
  std::uint64_t count = 0;
  DataType type = DataType::uint32;  // or float32; every value is a small whole number
  RedOp op = RedOp::sum;
  std::uint32_t pattern = 0;
  bool flat = false;  // no pattern: every element is the amount

  std::size_t bytes() const { return count * size_of(type); }
};

// What a buffer holds: one period of it.
struct Snapshot {
  std::array<std::uint32_t, period> bits{};
  std::size_t bytes = 0;

  void write(std::byte* out) const;
  bool matches(const std::byte* data) const;
  std::string first_difference(const std::byte* data) const;
};

// One power of two per process: a sum tells whose amounts are in it.
std::uint32_t amount_of(int slot, std::uint32_t attempt);

Snapshot input_of(const OpSpec& spec, std::uint32_t amount);
Snapshot result_of(const OpSpec& spec, const std::vector<std::uint32_t>& amounts);

}  // namespace pccl::sim
