// In which order the members of a group form their ring.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/ids.hpp"

namespace pccl::plan {

// (from, to): `from` cannot send to `to`.
using BrokenPaths = std::set<std::pair<PeerId, PeerId>>;

// A ring over `members` in which nobody sends over a broken path, keeping the given order as far as
// it can (links that stand are kept). Nothing when no such ring exists, or none was found within a
// bounded search.
std::optional<std::vector<PeerId>> ring_order(const std::vector<PeerId>& members,
                                              const BrokenPaths& broken);

}  // namespace pccl::plan
