// pcclOptimizeTopology: measured, solved, adopted by all at once; with deaths, cuts and restarts in
// between.
#include "sim/scenario.hpp"

namespace pccl::sim {
namespace {

WorldOptions optimizing_options(std::uint64_t seed = 1) {
  WorldOptions options = calm_options(seed);
  options.optimizes = true;
  return options;
}

const std::vector<PeerId>& ring_of(const World& world) {
  static std::vector<PeerId> ring;
  return ring = world.master.machine().groups().begin()->second.ring;
}

// Whether the ring leads from one to the other.
bool leads(const World& world, const SimPeer& from, const SimPeer& to) {
  const auto& ring = ring_of(world);
  const auto at = std::find(ring.begin(), ring.end(), from.id());
  return (at + 1 == ring.end() ? ring.front() : *(at + 1)) == to.id();
}

bool leads_anywhere_along(const World& world, const std::vector<SimPeer*>& peers,
                          const std::function<bool(int from, int to)>& path) {
  for (const SimPeer* from : peers)
    for (const SimPeer* to : peers)
      if (from != to && path(from->slot(), to->slot()) && leads(world, *from, *to)) return true;
  return false;
}

// The higher half of the numbers sends slowly to the lower half, but for one path.
bool slow(int from, int to) {
  return from >= 3 && to < 3 && !(from == 4 && to == 1);
}

TEST(Optimizing, TheRingAvoidsSlowPaths) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    WorldOptions options = optimizing_options(seed);
    options.quality = [](int from, int to) {
      return plan::PathQuality{slow(from, to) ? 1e7 : 1e9, 0.02};
    };
    Group3 group(6, options);
    EXPECT_TRUE(group.goes_on(group.peers)) << seed;
    EXPECT_FALSE(leads_anywhere_along(group.world, group.peers, slow)) << seed;
    EXPECT_TRUE(leads(group.world, *group.peers[4], *group.peers[1])) << seed;
  }
}

TEST(Optimizing, WhatHasBeenMeasuredIsNotMeasuredAgain) {
  Group3 group(4, optimizing_options());
  const Epoch epoch = group.world.master.machine().groups().begin()->second.epoch;
  const auto before = group.peers[0]->optimizations_done;
  group.world.run_for(1s);
  // A measurement takes up to 300 ms.
  EXPECT_GT(group.peers[0]->optimizations_done, before + 20);
  EXPECT_EQ(group.world.master.machine().groups().begin()->second.epoch, epoch);
}

TEST(Optimizing, NewcomersWaitForTheNextUpdate) {
  Group3 group(4, optimizing_options());
  for (int n = 0; n < 2; ++n) group.peers.push_back(&group.world.spawn());
  EXPECT_TRUE(group.goes_on(group.peers));
}

TEST(Optimizing, OneThatDiesMeanwhileIsLeftOut) {
  for (int moment = 0; moment < 60; ++moment) {
    Group3 group(4, optimizing_options(static_cast<std::uint64_t>(moment) + 1));
    group.peers.push_back(&group.world.spawn());
    group.world.run_for(moment * 23ms);
    group.peers[2]->kill();
    group.peers.erase(group.peers.begin() + 2);
    EXPECT_TRUE(group.goes_on(group.peers)) << moment;
  }
}

TEST(Optimizing, OneThatIsFrozenMeanwhileIsLeftOutInTime) {
  for (int moment = 0; moment < 30; ++moment) {
    Group3 group(4, optimizing_options(static_cast<std::uint64_t>(moment) + 1));
    group.peers.push_back(&group.world.spawn());
    group.world.run_for(moment * 31ms);
    group.world.freeze(*group.peers[1]);
    group.peers.erase(group.peers.begin() + 1);
    EXPECT_TRUE(group.goes_on(group.peers, 8s)) << moment;
  }
}

TEST(Optimizing, ARestartedMasterMeasuresAnew) {
  for (int moment = 0; moment < 60; ++moment) {
    Group3 group(4, optimizing_options(static_cast<std::uint64_t>(moment) + 1));
    group.peers.push_back(&group.world.spawn());
    group.world.run_for(moment * 23ms);
    group.world.master.kill();
    group.world.run_for(moment * 7ms);
    group.world.master.start();
    EXPECT_TRUE(group.goes_on(group.peers)) << moment;
  }
}

TEST(Optimizing, ACutPathIsAvoided) {
  Group3 group(5, optimizing_options());
  group.world.cut_path(*group.peers[0], *group.peers[1]);
  group.world.cut_path(*group.peers[3], *group.peers[1]);
  SimPeer& newcomer = group.world.spawn();
  group.peers.push_back(&newcomer);
  group.world.cut_path(newcomer, *group.peers[2]);
  EXPECT_TRUE(group.goes_on(group.peers, 30s));
  for (const auto& [a, b] : {std::pair{0, 1}, std::pair{3, 1}, std::pair{5, 2}}) {
    EXPECT_FALSE(leads(group.world, *group.peers[a], *group.peers[b])) << a << b;
    EXPECT_FALSE(leads(group.world, *group.peers[b], *group.peers[a])) << a << b;
  }
}

TEST(Optimizing, AllGroupsTogether) {
  World world(optimizing_options());
  std::vector<SimPeer*> peers;
  for (std::uint32_t n = 0; n < 7; ++n) peers.push_back(&world.spawn({.group = Group{n % 3}}));
  EXPECT_TRUE(world.run_until(
      [&] {
        return std::all_of(peers.begin(), peers.end(), [](const SimPeer* peer) {
          return peer->reduces_done > 20 && peer->machine().seen().counts.global_world_size == 7;
        });
      },
      30s));
  EXPECT_GT(peers.front()->optimizations_done, 5u);
}

TEST(Optimizing, OneAloneInItsGroupTakesPart) {
  World world(optimizing_options());
  std::vector<SimPeer*> peers;
  for (std::uint32_t n = 0; n < 4; ++n)
    peers.push_back(&world.spawn({.group = Group{n == 3 ? 1u : 0u}}));
  EXPECT_TRUE(world.run_until(
      [&] {
        return std::all_of(peers.begin(), peers.begin() + 3, [](const SimPeer* peer) {
          return peer->reduces_done > 20 && peer->machine().seen().counts.global_world_size == 4;
        });
      },
      30s));
  EXPECT_GT(peers[3]->optimizations_done, 5u);
}

}  // namespace
}  // namespace pccl::sim
