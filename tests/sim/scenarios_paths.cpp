// Paths that are cut while everybody at their ends lives: rings around them, the fewest removals
// where there is none, and paths that have healed.
#include "sim/scenario.hpp"

namespace pccl::sim {
namespace {

// To notice (pings are asked for twice a second), to tell, to link and to reduce ten times.
constexpr Duration one_timeout = 3s + 2s;

SimPeer& at_rank(const Group3& group, std::size_t rank) {
  const auto& ring = group.peers.front()->machine().ring();
  for (SimPeer* const peer : group.peers)
    if (peer->id() == ring[rank % ring.size()].peer) return *peer;
  throw std::logic_error("a stranger in the ring");
}

void cut(World& world, SimPeer& a, SimPeer& b) {
  world.cut_path(a, b);
  world.cut_path(b, a);
}

void heal(World& world, SimPeer& a, SimPeer& b) {
  world.heal_path(a, b);
  world.heal_path(b, a);
}

std::vector<SimPeer*> alive(const Group3& group) {
  std::vector<SimPeer*> alive;
  for (SimPeer* const peer : group.peers)
    if (peer->alive()) alive.push_back(peer);
  return alive;
}

TEST(Paths, OneCutPathCostsOneTimeoutAndNobodysPlace) {
  for (std::size_t size = 4; size <= 8; ++size)
    for (std::size_t rank = 0; rank < size; ++rank) {
      Group3 group(size, calm_options(100 * size + rank));
      const Epoch before = group.peers[0]->machine().epoch();
      cut(group.world, at_rank(group, rank), at_rank(group, rank + 1));
      EXPECT_TRUE(group.goes_on(group.peers, one_timeout)) << size << " peers, rank " << rank;
      EXPECT_EQ(group.peers[0]->machine().epoch(), before.next())
          << "one new ring, not one for each direction";
    }
}

TEST(Paths, OneDirectionIsEnough) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    Group3 group(4, calm_options(seed));
    group.world.cut_path(at_rank(group, 1), at_rank(group, 0));  // where only credit and pongs go
    EXPECT_TRUE(group.goes_on(group.peers, one_timeout)) << seed;
  }
}

TEST(Paths, AClosedDoorTurnsARingOfThreeRound) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    Group3 group(3, calm_options(seed));
    SimPeer &from = at_rank(group, 0), &to = at_rank(group, 1);
    group.world.paths.refuse_dials(from.slot(), to.slot());
    group.world.break_link(from);
    EXPECT_TRUE(group.goes_on(group.peers, 2s)) << seed;
  }
}

// Of the two who cannot reach each other, the younger; whoever reports first.
TEST(Paths, WithoutARingTheYoungerEndGoes) {
  for (const std::size_t size : {2u, 3u})
    for (std::uint64_t seed = 1; seed <= 8; ++seed) {
      Group3 group(size, calm_options(seed));
      SimPeer* older = &at_rank(group, seed);
      SimPeer* younger = &at_rank(group, seed + 1);
      if (younger->control()->id() < older->control()->id()) std::swap(older, younger);
      cut(group.world, *older, *younger);
      ASSERT_TRUE(group.world.run_until([&] { return !younger->alive(); }, 8s)) << seed;
      EXPECT_NE(younger->machine().gone().why.find("no ring avoids"), std::string::npos)
          << younger->machine().gone().why;
      EXPECT_EQ(alive(group).size(), size - 1) << seed;
      EXPECT_TRUE(size == 2 || group.goes_on(alive(group), 2s)) << seed;
      group.world.run_for(10s);
      EXPECT_EQ(alive(group).size(), size - 1) << seed;
    }
}

TEST(Paths, ATornRunKeepsItsLargerPart) {
  struct Case {
    std::size_t size, torn_off;
  };
  for (const auto [size, torn_off] : {Case{4, 1}, Case{5, 2}, Case{6, 2}, Case{7, 3}, Case{8, 1}})
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
      Group3 group(size, calm_options(seed));
      std::vector<SimPeer*> larger(group.peers.begin() + static_cast<std::ptrdiff_t>(torn_off),
                                   group.peers.end());
      for (std::size_t out = 0; out < torn_off; ++out)
        for (SimPeer* const in : larger) cut(group.world, *group.peers[out], *in);
      const Instant begin = group.world.timeline.now();
      EXPECT_TRUE(group.goes_on(larger, 30s)) << size << " less " << torn_off << ", seed " << seed;
      if (seed == 1)
        std::printf("%zu of %zu torn off: the others go on after %.1f s\n", torn_off, size,
                    seconds(group.world.timeline.now() - begin));
    }
}

TEST(Paths, APathThatHasHealedIsUsedWhenItIsNeeded) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    Group3 group(4, calm_options(seed));
    SimPeer &a = at_rank(group, 0), &b = at_rank(group, 1);
    cut(group.world, a, b);
    ASSERT_TRUE(group.goes_on(group.peers, one_timeout)) << seed;
    group.world.run_for(6s);
    heal(group.world, a, b);
    group.world.run_for(24s);                                // the cool-down is ten timeouts
    cut(group.world, at_rank(group, 0), at_rank(group, 1));  // of the ring without that path
    EXPECT_TRUE(group.goes_on(group.peers, one_timeout)) << seed;
  }
}

TEST(Paths, ThatHaveNotHealedAreTriedInVainAndCostOne) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    Group3 group(4, calm_options(seed));
    cut(group.world, at_rank(group, 0), at_rank(group, 1));
    ASSERT_TRUE(group.goes_on(group.peers, one_timeout)) << seed;
    group.world.run_for(30s);
    cut(group.world, at_rank(group, 0), at_rank(group, 1));
    ASSERT_TRUE(group.world.run_until([&] { return alive(group).size() == 3; }, 12s)) << seed;
    EXPECT_TRUE(group.goes_on(alive(group), 4s)) << seed;
  }
}

TEST(Paths, ANewcomerIsTakenInAroundACutPath) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    Group3 group(3, calm_options(seed));
    SimPeer& newcomer = group.world.spawn();
    cut(group.world, newcomer, *group.peers[seed % 3]);
    std::vector<SimPeer*> all = group.peers;
    all.push_back(&newcomer);
    EXPECT_TRUE(group.goes_on(all, 15s)) << seed;
  }
}

TEST(Paths, ANewcomerThatReachesOnlyOneCostsNobodyHisPlaceAndIsTakenInOnceItIsHealed) {
  Group3 group(3);
  SimPeer& newcomer = group.world.spawn();
  for (std::size_t member = 0; member < 2; ++member)
    cut(group.world, newcomer, *group.peers[member]);
  group.world.run_for(30s);
  EXPECT_TRUE(group.goes_on(group.peers, 10s));
  for (std::size_t member = 0; member < 2; ++member)
    heal(group.world, newcomer, *group.peers[member]);
  std::vector<SimPeer*> all = group.peers;
  all.push_back(&newcomer);
  EXPECT_TRUE(group.goes_on(all, 10s));
}

}  // namespace
}  // namespace pccl::sim
