#include "plan/measuring_rounds.hpp"

namespace pccl::plan {

namespace {

// Who is busy in a round.
struct Places {
  explicit Places(Index count) : sends(count), receives(count) {}
  bool take(const Pair& pair) {
    if (sends[pair.first] || receives[pair.second]) return false;
    return sends[pair.first] = receives[pair.second] = true;
  }
  std::vector<bool> sends, receives;
};

}  // namespace

// By the distance in the ring: the pairs of one distance fit into one round. Where some of them are
// not wanted, those of later distances fill the gaps.
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
