#include "membership/round_trips.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "membership/master_bench.hpp"
#include "membership/peer_bench.hpp"

namespace pccl::membership {
namespace {

using namespace std::chrono_literals;

PeerId peer(std::uint64_t number) {
  return {0, number};
}

TEST(RoundTrips, TheLongestOfTheRingCountsWhicheverWayItWasMeasured) {
  RoundTrips known;
  known.measured(peer(1), peer(2), 3ms);
  known.measured(peer(3), peer(2), 40ms);
  known.measured(peer(3), peer(1), 5ms);
  EXPECT_EQ(known.longest_in({peer(1), peer(2), peer(3)}), 40ms);
  EXPECT_EQ(known.longest_in({peer(1), peer(2)}), 3ms);
  known.measured(peer(2), peer(3), 4ms);
  EXPECT_EQ(known.longest_in({peer(1), peer(2), peer(3)}), 5ms) << "the newest counts";
}

TEST(RoundTrips, NobodyAndNothingKnownTakeNoTime) {
  const RoundTrips known;
  EXPECT_EQ(known.longest_in({}), 0ms);
  EXPECT_EQ(known.longest_in({peer(1)}), 0ms);
  EXPECT_EQ(known.longest_in({peer(1), peer(2)}), 0ms);
}

TEST(RoundTrips, WhoHasNeverMetIsNoFartherThanByWayOfTheNearest) {
  RoundTrips known;
  known.measured(peer(1), peer(2), 30ms);
  known.measured(peer(2), peer(3), 20ms);
  known.measured(peer(1), peer(4), 1ms);
  known.measured(peer(4), peer(3), 2ms);
  EXPECT_EQ(known.longest_in({peer(1), peer(3)}), 3ms);
  known.forget([](PeerId id) { return id == peer(4); });
  EXPECT_EQ(known.longest_in({peer(1), peer(3)}), 50ms);
  known.forget([](PeerId id) { return id == peer(2); });
  EXPECT_EQ(known.longest_in({peer(1), peer(3)}), 0ms);
}

// Each of the proposed ring says how far its next rank is: a millisecond more than the one before.
void links_stand_at_distances(test::MasterBench& bench, const std::vector<std::uint64_t>& peers) {
  const auto proposed = bench.last<wire::EpochProposed>(peers.front());
  std::uint32_t rtt_us = 0;
  for (const wire::Member& member : proposed.ring)
    for (const std::uint64_t peer : peers)
      if (bench.id(peer) == member.peer)
        bench.frame(peer, wire::LinksReady{proposed.epoch, rtt_us += 1000});
}

std::vector<std::uint64_t> four_at_distances(test::MasterBench& bench) {
  auto peers = bench.join_many(3);
  const std::uint64_t newcomer = bench.greet();
  bench.call_update(peers);
  peers.push_back(newcomer);
  links_stand_at_distances(bench, peers);
  return peers;
}

TEST(RoundTripsOfAnEpoch, AreWhatAnInstallationSaysToAll) {
  test::MasterBench bench;
  const auto peers = four_at_distances(bench);
  for (const std::uint64_t peer : peers)
    EXPECT_EQ(bench.last<wire::EpochInstalled>(peer).rtt_us, 4000u);
}

TEST(RoundTripsOfAnEpoch, LeadAroundALostPeerUntilTheNewNeighboursHaveMet) {
  test::MasterBench bench;
  auto peers = four_at_distances(bench);
  const auto ring = bench.group().ring;
  const auto at = [&](PeerId id) {
    return *std::find_if(peers.begin(), peers.end(),
                         [&](std::uint64_t peer) { return bench.id(peer) == id; });
  };
  const std::uint64_t lost = at(ring[2]);  // 2 ms from the one before, 3 ms from the one after
  std::erase(peers, lost);
  bench.close(lost);
  for (const std::uint64_t peer : peers)
    EXPECT_EQ(bench.last<wire::EpochProposed>(peer).rtt_us, 5000u);
  links_stand_at_distances(bench, peers);
  for (const std::uint64_t peer : peers) bench.frame(peer, wire::Heartbeat{});
  const std::uint64_t another = bench.greet();
  bench.call_update(peers);
  bench.links_stand();  // and nobody says how far it is: nobody is
  EXPECT_LE(bench.last<wire::EpochInstalled>(another).rtt_us, 3000u);
}

TEST(RoundTripsOfAnEpoch, ReachTheRingOfEachOp) {
  test::PeerBench bench;
  bench.accept();
  auto proposed = test::proposal(5, wire::EpochReason::recovery);
  proposed.rtt_us = 5000;
  bench.from_master(proposed);
  // Of a recovery the proposal counts: ops may have begun by it.
  bench.from_master(wire::EpochInstalled{.epoch = Epoch{5}, .rtt_us = 9000});
  bench.step(FailureSeen{});  // the caller knows of it
  bench.launch(1);
  ASSERT_EQ(bench.effects<StartRing>().size(), 1u);
  EXPECT_EQ(bench.effects<StartRing>()[0].rtt, 5ms);
}

}  // namespace
}  // namespace pccl::membership
