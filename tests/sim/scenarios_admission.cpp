// Joining: several at once, candidates that die, that nobody reaches, that say nothing.
#include "sim/scenario.hpp"

namespace pccl::sim {
namespace {

TEST(Admission, ThreeThatStartAtOnceAllJoin) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Group3 group(3, calm_options(seed));
    EXPECT_TRUE(group.goes_on(group.peers)) << seed;
  }
}

TEST(Admission, OneAloneIsAWorldOfOne) {
  World world(calm_options());
  SimPeer& alone = world.spawn();
  ASSERT_TRUE(world.run_until([&] { return alone.world_size() == 1; }, 1s));
  world.run_for(2s);
  EXPECT_TRUE(alone.alive());
  EXPECT_EQ(alone.machine().seen().counts,
            (wire::RunCounts{
                .global_world_size = 1, .distinct_groups = 1, .largest_group_world_size = 1}));
}

TEST(Admission, ThreeNewcomersJoinARunningGroup) {
  Group3 group;
  for (int n = 0; n < 3; ++n) group.peers.push_back(&group.world.spawn());
  EXPECT_TRUE(group.goes_on(group.peers));
}

TEST(Admission, CandidateDiesBetweenProposeAndInstall) {
  Group3 group;
  SimPeer& candidate = group.world.spawn();
  // The proposal has reached it when it dials.
  ASSERT_TRUE(group.world.run_until(
      [&] { return !group.world.master.machine().groups().begin()->second.linked; }, 5s));
  candidate.kill();
  EXPECT_TRUE(group.goes_on(group.peers));
  EXPECT_EQ(group.world.master.machine().pending_peers(), 0u);
}

TEST(Admission, MemberDiesBetweenProposeAndInstall) {
  for (std::size_t victim = 0; victim < 3; ++victim) {
    Group3 group;
    group.peers.push_back(&group.world.spawn());
    ASSERT_TRUE(group.world.run_until(
        [&] { return !group.world.master.machine().groups().begin()->second.linked; }, 5s));
    group.peers[victim]->kill();
    group.peers.erase(group.peers.begin() + static_cast<std::ptrdiff_t>(victim));
    EXPECT_TRUE(group.goes_on(group.peers)) << victim;
  }
}

TEST(Admission, AllMembersDieWhileACandidateWaits) {
  Group3 group;
  SimPeer& candidate = group.world.spawn();
  group.world.run_for(1ms);
  for (SimPeer* peer : group.peers) peer->kill();
  ASSERT_TRUE(group.world.run_until([&] { return candidate.world_size() == 1; }, 5s));
  SimPeer& another = group.world.spawn();
  EXPECT_TRUE(group.goes_on({&candidate, &another}));
}

TEST(Admission, UnreachableCandidateIsDroppedAndHoldsUpNobodyElse) {
  Group3 group;
  SimPeer& silent = group.world.spawn({.script = connect_only, .p2p_silent = true});
  silent.blame("nobody reaches it");
  SimPeer& good = group.world.spawn();
  group.peers.push_back(&good);
  EXPECT_TRUE(group.goes_on(group.peers, 10s));
  EXPECT_FALSE(group.world.ledger.accepted(silent.id()));
}

TEST(Admission, AnUnreachableCandidateMayTryAgainAndAgain) {
  Group3 group;
  SimPeer& silent = group.world.spawn({.p2p_silent = true});
  silent.blame("nobody reaches it");
  group.world.run_for(20s);
  EXPECT_FALSE(group.world.ledger.accepted(silent.id()));
  silent.kill();
  EXPECT_TRUE(group.goes_on(group.peers));
}

TEST(Admission, MuteCandidateIsDropped) {
  Group3 group;
  SimPeer& mute = group.world.spawn({.script = connect_only, .mute = true});
  mute.blame("it does not open its links");
  ASSERT_TRUE(group.world.run_until([&] { return !mute.alive(); }, 15s));
  EXPECT_TRUE(group.goes_on(group.peers));
  EXPECT_EQ(group.world.master.machine().pending_peers(), 0u);
}

TEST(Admission, SlowDialsDelayButDoNotDrop) {
  Group3 group;
  SimPeer& candidate = group.world.spawn();
  for (SimPeer* peer : group.peers) {
    group.world.paths.slow_down_dials(peer->slot(), candidate.slot(), 1s);
    group.world.paths.slow_down_dials(candidate.slot(), peer->slot(), 700ms);
  }
  group.peers.push_back(&candidate);
  EXPECT_TRUE(group.goes_on(group.peers));
}

TEST(Admission, PathToOneMemberIsCutSoTheRingGoesAroundIt) {
  Group3 group;
  SimPeer& candidate = group.world.spawn();
  group.world.cut_path(*group.peers[0], candidate);
  group.world.cut_path(candidate, *group.peers[0]);
  group.peers.push_back(&candidate);
  EXPECT_TRUE(group.goes_on(group.peers, 15s));
}

TEST(Admission, TwoGroupsJoinInOneRoundAndReduceApart) {
  World world(calm_options());
  std::vector<SimPeer*> peers;
  for (std::uint32_t n = 0; n < 6; ++n) peers.push_back(&world.spawn({.group = Group{n % 2}}));
  ASSERT_TRUE(world.run_until(
      [&] {
        return std::all_of(peers.begin(), peers.end(), [](const SimPeer* peer) {
          return peer->world_size() == 3 && peer->reduces_done > 10;
        });
      },
      20s));
  EXPECT_EQ(peers[0]->machine().seen().counts,
            (wire::RunCounts{
                .global_world_size = 6, .distinct_groups = 2, .largest_group_world_size = 3}));
}

TEST(Admission, ARestartedPeerIsANewOne) {
  Group3 group;
  const PeerId old = group.peers[1]->id();
  group.peers[1]->kill();
  group.peers[1] = &group.world.spawn();
  EXPECT_TRUE(group.goes_on(group.peers));
  EXPECT_NE(group.peers[1]->id(), old);
}

}  // namespace
}  // namespace pccl::sim
