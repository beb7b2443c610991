// The master dies and is started again, with no memory.
#include "sim/scenario.hpp"

namespace pccl::sim {
namespace {

using Standing = membership::PeerMachine::Standing;

std::uint64_t failures_of(const std::vector<SimPeer*>& peers) {
  std::uint64_t failures = 0;
  for (const SimPeer* peer : peers) failures += peer->reduces_failed;
  return failures;
}

TEST(Restart, AtAnyMomentNobodyNoticesMoreThanAPause) {
  for (int moment = 0; moment < 150; ++moment) {
    Group3 group(4, calm_options(static_cast<std::uint64_t>(moment) + 1));
    const auto failures = failures_of(group.peers);
    group.world.run_for(moment * 137us);
    group.world.master.kill();
    group.world.run_for(moment * 7ms);
    group.world.master.start();
    EXPECT_TRUE(group.goes_on(group.peers, 1s)) << moment;
    EXPECT_EQ(failures_of(group.peers), failures) << moment;
  }
}

TEST(Restart, AgainAndAgain) {
  Group3 group(4);
  for (int life = 0; life < 30; ++life) {
    group.world.run_for(life * 1731us);
    group.world.master.kill();
    group.world.run_for(life * 3ms);
    group.world.master.start();
    group.world.run_for(life * 11ms);
  }
  EXPECT_TRUE(group.goes_on(group.peers, 1s));
}

TEST(Restart, DuringARecovery) {
  for (int moment = 0; moment < 60; ++moment) {
    Group3 group(4, calm_options(static_cast<std::uint64_t>(moment) + 1));
    group.peers[1]->kill();
    group.world.run_for(moment * 200us);
    group.world.master.kill();
    group.world.run_for(50ms);
    group.world.master.start();
    EXPECT_TRUE(group.goes_on({group.peers[0], group.peers[2], group.peers[3]}, 5s)) << moment;
  }
}

TEST(Restart, DuringAnAdmission) {
  for (int moment = 0; moment < 100; ++moment) {
    Group3 group(3, calm_options(static_cast<std::uint64_t>(moment) + 1));
    group.peers.push_back(&group.world.spawn());
    group.world.run_for(moment * 150us);
    group.world.master.kill();
    group.world.run_for(50ms);
    group.world.master.start();
    EXPECT_TRUE(group.goes_on(group.peers, 8s)) << moment;
  }
}

TEST(Restart, WithANewcomerThatWaits) {
  Group3 group(3);
  for (SimPeer* peer : group.peers) peer->pause_next = 2s;
  SimPeer& newcomer = group.world.spawn();
  ASSERT_TRUE(group.world.run_until(
      [&] { return newcomer.machine().standing() == Standing::pending; }, 1s));
  group.world.master.kill();
  group.world.run_for(500ms);
  group.world.master.start();
  group.peers.push_back(&newcomer);
  EXPECT_TRUE(group.goes_on(group.peers, 5s));
}

// It is told of no run, and must not make one.
TEST(Restart, ANewcomerThatComesFirstDoesNotTakeTheRun) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    Group3 group(3, calm_options(seed));
    group.world.master.kill();
    group.world.run_for(2s);
    group.world.master.start();
    group.peers.push_back(&group.world.spawn());
    EXPECT_TRUE(group.goes_on(group.peers, 5s)) << seed;
  }
}

TEST(Restart, AMemberThatDiesWhileTheMasterIsAway) {
  for (int moment = 0; moment < 30; ++moment) {
    Group3 group(4, calm_options(static_cast<std::uint64_t>(moment) + 1));
    group.world.master.kill();
    group.world.run_for(moment * 1ms);
    group.peers[2]->kill();
    group.world.run_for(30ms);
    group.world.master.start();
    EXPECT_TRUE(group.goes_on({group.peers[0], group.peers[1], group.peers[3]}, 5s)) << moment;
  }
}

TEST(Restart, AllButOneDieWhileTheMasterIsAway) {
  Group3 group(3);
  group.world.master.kill();
  group.peers[0]->kill();
  group.peers[2]->kill();
  group.world.run_for(1s);
  group.world.master.start();
  ASSERT_TRUE(group.world.run_until([&] { return group.peers[1]->world_size() == 1; }, 5s));
  EXPECT_TRUE(group.goes_on({group.peers[1], &group.world.spawn()}));
}

TEST(Restart, NobodyIsLeft) {
  Group3 group(3);
  group.world.master.kill();
  for (SimPeer* peer : group.peers) peer->kill();
  group.world.run_for(1s);
  group.world.master.start();
  EXPECT_TRUE(group.goes_on({&group.world.spawn(), &group.world.spawn()}));
}

TEST(Restart, WhoComesBackLateIsRemovedAndHearsWhy) {
  Group3 group(4);
  group.world.freeze(*group.peers[1]);
  group.world.master.kill();
  group.world.run_for(100ms);
  group.world.master.start();
  EXPECT_TRUE(group.goes_on({group.peers[0], group.peers[2], group.peers[3]}, 5s));
  group.world.thaw(*group.peers[1]);
  ASSERT_TRUE(group.world.run_until([&] { return !group.peers[1]->alive(); }, 2s));
  EXPECT_EQ(group.peers[1]->machine().gone().status, Status::removed);
  EXPECT_NE(group.peers[1]->machine().gone().why.find("has gone on without it"), std::string::npos)
      << group.peers[1]->machine().gone().why;
}

TEST(Restart, TooLateEndsTheRunAfterTheTimeoutAndNotBefore) {
  Group3 group(3);
  group.world.master.kill();
  group.world.run_for(59s);
  for (const SimPeer* peer : group.peers) EXPECT_TRUE(peer->alive());
  group.world.run_for(3s);
  for (const SimPeer* peer : group.peers) {
    EXPECT_FALSE(peer->alive());
    EXPECT_EQ(peer->machine().gone().status, Status::master_lost);
    EXPECT_NE(peer->machine().gone().why.find("the master has been away for 60"), std::string::npos)
        << peer->machine().gone().why;
  }
}

TEST(Restart, ALivingMasterDoesNotTakeBackWhomItHasLost) {
  Group3 group(3);
  SimPeer& lost = *group.peers[1];
  lost.blame("its connection to the master was reset");
  lost.control()->close_at_peer(true);
  lost.lose_master("connection reset");
  EXPECT_TRUE(group.goes_on({group.peers[0], group.peers[2]}, 1s));
  ASSERT_TRUE(group.world.run_until([&] { return !lost.alive(); }, 1s));
  EXPECT_EQ(lost.machine().gone().status, Status::removed);
  EXPECT_NE(lost.machine().gone().why.find("its connection to the master ended"), std::string::npos)
      << lost.machine().gone().why;
}

TEST(Restart, OfARunWithTwoGroups) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    World world(calm_options(seed));
    std::vector<SimPeer*> peers;
    for (std::uint32_t n = 0; n < 6; ++n) peers.push_back(&world.spawn({.group = Group{n % 2}}));
    const auto all_have = [&](std::uint64_t reduces) {
      return std::all_of(peers.begin(), peers.end(), [&](const SimPeer* peer) {
        return peer->world_size() == 3 && peer->reduces_done > reduces;
      });
    };
    ASSERT_TRUE(world.run_until([&] { return all_have(5); }, 20s));
    const auto failures = failures_of(peers);
    world.run_for(seed * 170us);
    world.master.kill();
    world.run_for(200ms);
    world.master.start();
    const auto most = (*std::max_element(peers.begin(), peers.end(), [](auto* a, auto* b) {
                        return a->reduces_done < b->reduces_done;
                      }))->reduces_done;
    EXPECT_TRUE(world.run_until([&] { return all_have(most + 10); }, 2s)) << seed;
    EXPECT_EQ(failures_of(peers), failures) << seed;
  }
}

}  // namespace
}  // namespace pccl::sim
