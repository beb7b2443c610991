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
// bounded search: in small groups and wherever most paths work, none is missed. A ring begins with
// the first of the members.
std::optional<std::vector<PeerId>> ring_order(const std::vector<PeerId>& members,
                                              const BrokenPaths& broken);

// Whom of `may_go` to leave out, so that a ring over the rest of the members exists, where there is
// none over all: the fewest, among as few those that come first in `may_go`, but rather two without
// a broken path between them (of one part of a torn run) than two with one. Exact where one or two
// suffice, in a bounded search; else whoever has broken paths with most of the others goes first.
// Groups of more than 256 are not searched: the answer is the first to go. Never anybody who has
// every path; perhaps not enough.
std::vector<PeerId> leave_out(const std::vector<PeerId>& members, const BrokenPaths& broken,
                              const std::vector<PeerId>& may_go);

}  // namespace pccl::plan
