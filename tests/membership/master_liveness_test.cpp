// Silence, heartbeats, and a master that itself was asleep.
#include <gtest/gtest.h>

#include "membership/master_bench.hpp"

namespace pccl::membership {
namespace {

using namespace std::chrono_literals;
using test::MasterBench;
using test::peer_timeout;

TEST(Heartbeats, GoToEverybodySixTimesInATimeout) {
  MasterBench bench;
  const auto peers = bench.join_many(2);
  const std::uint64_t pending = bench.greet();
  bench.pass_alive(peer_timeout);
  for (const std::uint64_t peer : {peers[0], peers[1], pending})
    EXPECT_EQ(bench.sent<wire::Heartbeat>(peer).size(), 6u) << peer;
}

TEST(Heartbeats, KeepAPeerAliveForEver) {
  MasterBench bench;
  const auto peers = bench.join_many(2);
  bench.pass_alive(1h);
  for (const std::uint64_t peer : peers) EXPECT_TRUE(bench.is_open(peer));
}

TEST(Heartbeats, AnyFrameIsASignOfLife) {
  MasterBench bench;
  const auto peers = bench.join_many(1);
  for (int second = 0; second < 20; ++second) {
    bench.pass(1s);
    bench.frame(peers[0], wire::LinksReady{Epoch{999}});
  }
  EXPECT_TRUE(bench.is_open(peers[0]));
}

TEST(Silence, CostsAPeerItsPlaceAndTheOthersGetANewRing) {
  MasterBench bench;
  const auto peers = bench.join_many(3);
  const Epoch before = bench.epoch();
  bench.pass_alive(peer_timeout, {peers[1]});
  EXPECT_TRUE(bench.is_open(peers[1])) << "not a moment too soon";
  bench.pass_alive(1s, {peers[1]});
  EXPECT_TRUE(bench.closed(peers[1]));
  EXPECT_NE(bench.removal(peers[1]).find("no heartbeat for 3."), std::string::npos)
      << bench.removal(peers[1]);
  for (const std::uint64_t peer : {peers[0], peers[2]}) {
    const auto proposed = bench.last<wire::EpochProposed>(peer);
    EXPECT_EQ(proposed.epoch, before.next());
    EXPECT_EQ(proposed.reason, wire::EpochReason::recovery);
    EXPECT_EQ(proposed.ring.size(), 2u);
    EXPECT_NE(proposed.why.find("no heartbeat"), std::string::npos);
  }
}

TEST(Silence, OfAPendingPeerIsItsOwnAffair) {
  MasterBench bench;
  const auto peers = bench.join_many(2);
  const Epoch before = bench.epoch();
  const std::uint64_t pending = bench.greet();
  bench.pass_alive(5s, {pending});
  EXPECT_TRUE(bench.closed(pending));
  EXPECT_EQ(bench.epoch(), before);
  EXPECT_TRUE(bench.sent<wire::EpochProposed>(peers[0]).empty());
}

TEST(Silence, OfAllLeavesAnEmptyRunThatTakesNewPeers) {
  MasterBench bench;
  const auto peers = bench.join_many(4);
  bench.pass(10s);
  for (const std::uint64_t peer : peers) EXPECT_TRUE(bench.closed(peer));
  EXPECT_EQ(bench.machine().counts().global_world_size, 0u);
  EXPECT_TRUE(bench.is_open(bench.join()));
}

TEST(Oversleeping, IsForgivenToThePeers) {
  MasterBench bench;
  const auto peers = bench.join_many(2);
  bench.oversleep(1h);
  for (const std::uint64_t peer : peers) EXPECT_TRUE(bench.is_open(peer));
  bench.pass(peer_timeout);
  for (const std::uint64_t peer : peers) EXPECT_TRUE(bench.is_open(peer)) << "a fresh deadline";
  bench.pass(1s);
  for (const std::uint64_t peer : peers) EXPECT_TRUE(bench.closed(peer)) << "but only one";
}

TEST(Oversleeping, IsForgivenToThoseWhoOpenLinks) {
  MasterBench bench;
  const auto peers = bench.join_many(2);
  const std::uint64_t candidate = bench.greet();
  bench.call_update(peers);
  bench.oversleep(1h);
  bench.links_stand();
  EXPECT_TRUE(bench.is_open(candidate));
  EXPECT_EQ(bench.group().ring.size(), 3u);
}

TEST(Ticks, ThatComeTooEarlyAreIgnored) {
  MasterBench bench;
  const auto peers = bench.join_many(1);
  const Instant now = bench.now();
  for (int early = 0; early < 10; ++early)
    for (const MasterEffect& effect : bench.machine().step(TimePassed{}, now))
      EXPECT_FALSE(std::holds_alternative<Send>(effect));
  EXPECT_TRUE(bench.is_open(peers[0]));
}

TEST(Linking, WhoNeitherOpensLinksNorSaysWhyIsRemoved) {
  MasterBench bench;
  const auto peers = bench.join_many(3);
  bench.close(peers[0]);
  const auto proposed = bench.last<wire::EpochProposed>(peers[1]);
  bench.frame(peers[1], wire::LinksReady{proposed.epoch});
  bench.pass_alive(3 * peer_timeout);
  EXPECT_TRUE(bench.is_open(peers[2]));
  bench.pass_alive(1s);
  EXPECT_TRUE(bench.closed(peers[2]));
  EXPECT_TRUE(bench.is_open(peers[1]));
  EXPECT_EQ(bench.last<wire::EpochProposed>(peers[1]).ring.size(), 1u);
}

TEST(Linking, ALateCandidateGoesBeforeALateMember) {
  MasterBench bench;
  const auto peers = bench.join_many(3);
  const std::uint64_t candidate = bench.greet();
  bench.call_update(peers);
  const auto proposed = bench.last<wire::EpochProposed>(candidate);
  EXPECT_EQ(proposed.ring.size(), 4u);
  for (const std::size_t rank : {0u, 2u})  // those before the late ones: they have no excuse
    for (const std::uint64_t peer : peers)
      if (bench.id(peer) == proposed.ring[rank].peer)
        bench.frame(peer, wire::LinksReady{proposed.epoch});
  bench.pass_alive(3 * peer_timeout + 1s);
  EXPECT_TRUE(bench.closed(candidate));
  for (const std::uint64_t peer : peers) EXPECT_TRUE(bench.is_open(peer));
  bench.links_stand();
  for (const std::uint64_t peer : peers) {
    EXPECT_EQ(bench.last<wire::CallResult>(peer).status, Status::ok);
    EXPECT_EQ(bench.sent<wire::CallResult>(peer).size(), 1u);
  }
}

TEST(Linking, WhoWaitsForALatePreviousRankIsExcused) {
  MasterBench bench;
  const auto peers = bench.join_many(3);
  const std::uint64_t candidate = bench.greet();
  bench.call_update(peers);
  const auto proposed = bench.last<wire::EpochProposed>(candidate);
  const auto connection_of = [&](std::size_t rank) {
    for (const std::uint64_t peer : {peers[0], peers[1], peers[2], candidate})
      if (bench.id(peer) == proposed.ring[rank].peer) return peer;
    return std::uint64_t{0};
  };
  bench.frame(connection_of(0), wire::LinksReady{proposed.epoch});
  bench.pass_alive(3 * peer_timeout + 1s);
  for (const std::size_t rank : {0u, 1u, 2u, 3u})
    EXPECT_EQ(bench.closed(connection_of(rank)), rank == 1) << rank;
}

}  // namespace
}  // namespace pccl::membership
