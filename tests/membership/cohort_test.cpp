// Peers that come in together or not yet.
#include <gtest/gtest.h>

#include "membership/master_bench.hpp"

namespace pccl::membership {
namespace {

using test::MasterBench;

struct Cohorts : testing::Test {
  std::uint64_t greet(std::uint64_t cohort, std::uint32_t size, Group group = {}) {
    const std::uint64_t connection = bench.open();
    bench.frame(
        connection,
        wire::Hello{.group = group, .p2p_port = 48148, .cohort = cohort, .cohort_size = size},
        Term{});
    return connection;
  }
  bool is_in(std::uint64_t connection) {
    return !bench.sent<wire::EpochInstalled>(connection).empty();
  }
  bool are_pending(const std::vector<std::uint64_t>& members) {
    bench.forget_what_was_sent();
    bench.call(wire::CallKind::peers_pending, members);
    EXPECT_EQ(bench.sent<wire::CallResult>(members[0]).size(), 1u);
    return bench.last<wire::CallResult>(members[0]).peers_pending;
  }
  void update(const std::vector<std::uint64_t>& members) {
    bench.call_update(members);
    bench.links_stand();
  }

  MasterBench bench;
};

TEST_F(Cohorts, ComeInWhenTheLastIsThere) {
  const std::uint64_t member = bench.join();
  const std::uint64_t first = greet(5, 2);
  EXPECT_FALSE(are_pending({member})) << "an update would not let it in";
  update({member});
  EXPECT_FALSE(is_in(first));
  const std::uint64_t second = greet(5, 2, Group{1});
  EXPECT_TRUE(are_pending({member}));
  update({member});
  EXPECT_TRUE(is_in(first) && is_in(second));
  EXPECT_EQ(bench.machine().counts().global_world_size, 3u);
}

TEST_F(Cohorts, DoNotHoldUpOthers) {
  const std::uint64_t half = greet(5, 2), alone = greet(0, 1), other_half = greet(6, 2);
  bench.links_stand();
  EXPECT_TRUE(is_in(alone));
  EXPECT_FALSE(is_in(half) || is_in(other_half)) << "two halves are no whole";
}

TEST_F(Cohorts, BeginARun) {
  const std::uint64_t first = greet(5, 2, Group{0}), second = greet(5, 2, Group{1});
  bench.links_stand();
  EXPECT_TRUE(is_in(first) && is_in(second));
}

TEST_F(Cohorts, AreAsLargeAsTheLargestWish) {
  greet(5, 2), greet(5, 3);
  bench.links_stand();
  EXPECT_EQ(bench.machine().counts().global_world_size, 0u);
  greet(5, 1);
  bench.links_stand();
  EXPECT_EQ(bench.machine().counts().global_world_size, 3u);
}

TEST_F(Cohorts, WaitAgainWhenOneIsLostOnTheWayIn) {
  const std::uint64_t member = bench.join(), elsewhere = bench.join(Group{1});
  const std::uint64_t first = greet(5, 2), second = greet(5, 2, Group{1});
  bench.call_update({member, elsewhere});
  bench.close(second);
  bench.links_stand();
  EXPECT_EQ(bench.sent<wire::CallResult>(member).back().status, Status::ok);
  EXPECT_EQ(bench.machine().counts().global_world_size, 2u);
  EXPECT_TRUE(bench.is_open(first)) << bench.removal(first);
  EXPECT_FALSE(are_pending({member, elsewhere}));
  const std::uint64_t again = greet(5, 2, Group{1});
  update({member, elsewhere});
  EXPECT_TRUE(is_in(first) && is_in(again));
}

TEST_F(Cohorts, GoWithTheOneThatIsLost) {
  const std::uint64_t member = bench.join(), elsewhere = bench.join(Group{1});
  const std::uint64_t first = greet(5, 2), second = greet(5, 2, Group{1});
  update({member, elsewhere});
  ASSERT_TRUE(is_in(first) && is_in(second));
  bench.forget_what_was_sent();
  bench.call(wire::CallKind::peers_pending, {member, elsewhere});
  bench.pass_alive(2 * test::peer_timeout, {second});
  EXPECT_NE(bench.removal(first).find("its cohort is not whole any more: peer"), std::string::npos)
      << bench.removal(first);
  EXPECT_EQ(bench.machine().counts().global_world_size, 2u);
  EXPECT_EQ(bench.sent<wire::CallResult>(member).size(), 1u) << "they wait for nobody";
}

TEST_F(Cohorts, StayWhenOneLeavesOnPurposeAndLetAnotherOneIn) {
  const std::uint64_t member = bench.join(), elsewhere = bench.join(Group{1});
  const std::uint64_t first = greet(5, 2), second = greet(5, 2, Group{1});
  update({member, elsewhere});
  ASSERT_TRUE(is_in(first) && is_in(second));
  bench.frame(second, wire::Leave{});
  bench.links_stand();
  const std::uint64_t instead = greet(5, 2, Group{1});
  update({member, elsewhere, first});
  EXPECT_TRUE(is_in(instead));
}

// With as many different states as peers the oldest counts: everywhere that of the same cohort.
TEST_F(Cohorts, AreEquallySeniorInAllGroups) {
  const std::uint64_t member = bench.join(Group{9});
  const std::uint64_t a0 = greet(5, 2, Group{0}), b1 = greet(6, 2, Group{1}),
                      a1 = greet(5, 2, Group{1}), b0 = greet(6, 2, Group{0});
  update({member});
  ASSERT_TRUE(is_in(a0) && is_in(a1) && is_in(b0) && is_in(b1));
  std::uint8_t content = 1;
  for (const std::uint64_t peer : {b0, b1, a0, a1}) {
    wire::SyncOffer offer{.call = CallId{1000}};
    offer.content.octets[0] = content++;
    bench.frame(peer, offer);
  }
  for (const std::uint64_t peer : {a0, a1})
    EXPECT_EQ(bench.last<wire::SyncElected>(peer).content.octets[0], peer == a0 ? 3 : 4);
}

}  // namespace
}  // namespace pccl::membership
