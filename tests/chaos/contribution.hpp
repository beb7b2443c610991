// What a peer contributes to an op, so that the result names its contributors and anybody can
// compute what it has to be.
//
//   elements [0, slots)  the contributor's own is its mark, the others are neutral under the op
//   the rest             numbers that follow from the launch; exact in the type, in any order
//
// Tensors with fewer elements than slots are sums; their first element has a bit per contributor.
// Integers are full of bits and wrap where the op allows it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "chaos/round.hpp"

namespace chaos {

// A launch of an op by a peer; `number` is never used twice in a run.
struct Launch {
  std::uint32_t slot = 0;
  std::uint64_t number = 0;
};

std::vector<std::byte> contribution(const Op& op, const Launch& launch);

// The result of an op with these contributors, each in a slot of its own.
std::vector<std::byte> expected(const Op& op, const std::vector<Launch>& contributors);

// One bit per slot, as a result names them; nothing where a mark is none that a peer makes.
std::optional<std::uint32_t> contributors_in(const Op& op, const std::vector<std::byte>& result);

}  // namespace chaos
