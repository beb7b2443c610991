#include "plan/measuring_rounds.hpp"

namespace pccl::plan {

namespace {

constexpr Index nobody = ~Index{0};

// Who is busy in a round.
struct Places {
  explicit Places(Index count) : sends_to(count, nobody), receives_from(count, nobody) {}
  bool take(const Pair& pair) {
    const auto [from, to] = pair;
    const bool other_direction = sends_to.size() > 2 && sends_to[to] == from;
    if (sends_to[from] != nobody || receives_from[to] != nobody || other_direction) return false;
    sends_to[from] = to;
    receives_from[to] = from;
    return true;
  }
  std::vector<Index> sends_to, receives_from;
};

}  // namespace

// By the distance in the ring: the pairs of one distance fit into one round, but for those of
// opposite members, whose other halves need one of their own. Where there are gaps, pairs of later
// distances fill them.
std::vector<Round> measuring_rounds(Index count, const std::function<bool(Pair)>& wanted) {
  std::vector<Round> rounds;
  std::vector<Places> places;
  for (Index distance = 1; distance < count; ++distance)
    for (Index from = 0; from < count; ++from) {
      const Pair pair{from, (from + distance) % count};
      if (!wanted(pair)) continue;
      std::size_t round = 0;
      while (round < rounds.size() && !places[round].take(pair)) ++round;
      if (round == rounds.size()) {
        rounds.emplace_back();
        places.emplace_back(count).take(pair);
      }
      rounds[round].push_back(pair);
    }
  return rounds;
}

}  // namespace pccl::plan
