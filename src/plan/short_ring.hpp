// Rings over given paths: any, and the one with the smallest sum of lengths (the travelling
// salesman's question, with directions).
#pragma once

#include <functional>
#include <optional>

#include "plan/ring_search.hpp"

namespace pccl::plan {

using Length = std::function<double(Index from, Index to)>;

// Exact, for few members: time and memory double with each of them. Rings begin with the first.
std::optional<Order> some_ring(const PathMap& paths);
Order shortest_ring(const PathMap& paths, const Length& length);  // there is one

// By local search from a ring that is known; never longer than that one. Bounded and deterministic.
Order shortened_ring(const PathMap& paths, const Length& length, const Order& known);

}  // namespace pccl::plan
