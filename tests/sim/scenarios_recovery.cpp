// Losing peers, links, paths and the master's attention.
#include "sim/scenario.hpp"

namespace pccl::sim {
namespace {

TEST(Recovery, OneDeathAtAnyMoment) {
  for (int moment = 0; moment < 60; ++moment) {
    Group3 group(4);
    group.world.run_for(moment * 137us);
    group.peers[1]->kill();
    EXPECT_TRUE(group.goes_on({group.peers[0], group.peers[2], group.peers[3]}, 1s)) << moment;
  }
}

TEST(Recovery, TwoDeathsAtOnce) {
  Group3 group(5);
  group.peers[1]->kill();
  group.peers[2]->kill();
  EXPECT_TRUE(group.goes_on({group.peers[0], group.peers[3], group.peers[4]}, 1s));
}

TEST(Recovery, ADeathWhileTheRingHealsFromAnother) {
  for (int moment = 0; moment < 30; ++moment) {
    Group3 group(5);
    group.peers[1]->kill();
    group.world.run_for(moment * 300us);
    group.peers[3]->kill();
    EXPECT_TRUE(group.goes_on({group.peers[0], group.peers[2], group.peers[4]}, 1s)) << moment;
  }
}

TEST(Recovery, AllButOneDieAndTheLastTakesInNewcomers) {
  Group3 group(3);
  group.peers[0]->kill();
  group.peers[2]->kill();
  ASSERT_TRUE(group.world.run_until([&] { return group.peers[1]->world_size() == 1; }, 2s));
  SimPeer& newcomer = group.world.spawn();
  EXPECT_TRUE(group.goes_on({group.peers[1], &newcomer}));
}

TEST(Recovery, AGracefulLeaveIsNoticedAtOnce) {
  Group3 group;
  group.peers[2]->leave();
  EXPECT_TRUE(group.goes_on({group.peers[0], group.peers[1]}, 500ms));
}

TEST(Recovery, AFrozenPeerIsRemovedWithinItsTimeoutAndHearsWhy) {
  Group3 group(4);
  group.world.freeze(*group.peers[1]);
  EXPECT_TRUE(group.goes_on({group.peers[0], group.peers[2], group.peers[3]}, 4s));
  group.world.thaw(*group.peers[1]);
  ASSERT_TRUE(group.world.run_until([&] { return !group.peers[1]->alive(); }, 2s));
  EXPECT_EQ(group.peers[1]->machine().gone().status, Status::removed);
  EXPECT_NE(group.peers[1]->machine().gone().why.find("heartbeat"), std::string::npos);
  EXPECT_TRUE(group.goes_on({group.peers[0], group.peers[2], group.peers[3]}, 1s));
}

TEST(Recovery, AShortFreezeCostsNobodyHisPlace) {
  for (int tenths = 1; tenths < 28; tenths += 3) {
    Group3 group(2);
    group.world.freeze(*group.peers[1]);
    group.world.run_for(tenths * 100ms);
    group.world.thaw(*group.peers[1]);
    EXPECT_TRUE(group.goes_on(group.peers, 3s)) << tenths;
  }
}

TEST(Recovery, ABrokenLinkIsDialledAgainAndKeepsEverybody) {
  Group3 group(3);
  for (int n = 0; n < 2; ++n) {
    group.world.break_link(*group.peers[0]);
    EXPECT_TRUE(group.goes_on(group.peers, 1s)) << n;
  }
}

TEST(Recovery, OneResetInARingOfTwoIsOneIncident) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    Group3 group(2, calm_options(seed));
    group.world.break_link(*group.peers[0]);
    EXPECT_TRUE(group.goes_on(group.peers, 1s)) << seed;
  }
}

TEST(Recovery, ACutPathReordersTheRing) {
  Group3 group(4);
  const auto ring = group.peers[0]->machine().ring();
  const auto holder = [&](std::size_t rank) {
    return *std::find_if(group.peers.begin(), group.peers.end(),
                         [&](const SimPeer* peer) { return peer->id() == ring[rank].peer; });
  };
  group.world.cut_path(*holder(0), *holder(1));
  EXPECT_TRUE(group.goes_on(group.peers, 6s));
}

TEST(Recovery, ACutPathInARingOfTwoCostsOne) {
  Group3 group(2);
  group.world.cut_path(*group.peers[0], *group.peers[1]);
  group.world.run_for(8s);
  EXPECT_EQ(group.peers[0]->alive() + group.peers[1]->alive(), 1);
}

TEST(Recovery, APeerCutOffFromTheMasterAloneIsRemoved) {
  Group3 group(4);
  group.world.cut_off_from_master(*group.peers[2], true, true);
  EXPECT_TRUE(group.goes_on({group.peers[0], group.peers[1], group.peers[3]}, 4s));
  group.peers[2]->control()->heal();
  ASSERT_TRUE(group.world.run_until([&] { return !group.peers[2]->alive(); }, 2s));
  EXPECT_EQ(group.peers[2]->machine().gone().status, Status::removed);
}

TEST(Recovery, AMasterThatOversleptRemovesNobody) {
  Group3 group(4);
  group.world.master.freeze();
  group.world.run_for(10s);
  group.world.master.thaw();
  EXPECT_TRUE(group.goes_on(group.peers, 2s));
}

TEST(Recovery, APauseOfTheMasterDoesNotTurnAFreezeIntoABrokenPath) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    Group3 group(2, calm_options(seed));
    group.world.freeze(*group.peers[0]);
    group.world.master.freeze();
    group.world.run_for(3600ms);
    group.world.thaw(*group.peers[0]);
    group.world.run_for(200ms);
    group.world.master.thaw();
    EXPECT_TRUE(group.goes_on(group.peers, 3s)) << seed;
  }
}

TEST(Recovery, TheOtherGroupNoticesNothing) {
  World world(calm_options());
  std::vector<SimPeer*> peers;
  for (std::uint32_t n = 0; n < 6; ++n) peers.push_back(&world.spawn({.group = Group{n % 2}}));
  ASSERT_TRUE(world.run_until(
      [&] {
        return std::all_of(peers.begin(), peers.end(), [](const SimPeer* peer) {
          return peer->world_size() == 3 && peer->reduces_done > 5;
        });
      },
      20s));
  const Epoch epoch = peers[1]->machine().epoch();
  const auto failures = peers[1]->reduces_failed;
  peers[0]->kill();
  const auto before = peers[1]->reduces_done;
  ASSERT_TRUE(world.run_until([&] { return peers[1]->reduces_done > before + 10; }, 5s));
  EXPECT_EQ(peers[1]->machine().epoch(), epoch);
  EXPECT_EQ(peers[1]->reduces_failed, failures);
  EXPECT_EQ(peers[2]->world_size(), 2u);
}

}  // namespace
}  // namespace pccl::sim
