// Which paths are measured at the same time. In a round everybody sends to one other at most and
// receives from one other at most, both at once, as in a ring that reduces: a host whose uplink and
// downlink share something (a home line's acknowledgements, a half-duplex radio) is measured as it
// will be used. But no two members send to each other, which a ring of three or more never does:
// the acknowledgements of one direction would wait in the queue that the other one's load fills. So
// n members need n - 1 rounds for all n (n - 1) paths, and one more where n is even.
//
// Members that share one network card with others are not known as such, and measured with these.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "plan/ring_search.hpp"

namespace pccl::plan {

using Pair = std::pair<Index, Index>;  // from, to
using Round = std::vector<Pair>;

// Every pair that is wanted in one of the rounds, and as few rounds as a simple search finds:
// exactly as many as said above where all are wanted.
std::vector<Round> measuring_rounds(Index count, const std::function<bool(Pair)>& wanted);

}  // namespace pccl::plan
