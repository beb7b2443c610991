// Reports of broken links: asked about, believed when the accused lives, and no way to harm others.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/live_bytes.hpp"
#include "membership/master_bench.hpp"

namespace pccl::membership {
namespace {

using test::MasterBench;
using wire::LinkFailed;
using wire::LinkFault;

struct Group4 {
  Group4() : peers(bench.join_many(4)) {}
  std::uint64_t connection_of(PeerId id) const {
    for (const std::uint64_t peer : peers)
      if (bench.id(peer) == id) return peer;
    return 0;
  }
  std::uint64_t at_rank(std::size_t rank) { return connection_of(bench.group().ring[rank]); }
  void report(std::size_t from, std::size_t to, bool outgoing, LinkFault fault, Epoch epoch) {
    bench.frame(at_rank(from), LinkFailed{epoch, bench.group().ring[to], outgoing, fault, "test"});
  }
  std::size_t probes(std::size_t rank) {
    std::size_t count = 0;
    for (const auto& beat : bench.sent<wire::Heartbeat>(at_rank(rank))) count += beat.probe ? 1 : 0;
    return count;
  }
  MasterBench bench;
  std::vector<std::uint64_t> peers;
};

TEST(LinkReports, TheAccusedIsAskedAndItsAnswerBreaksThePath) {
  Group4 group;
  const Epoch before = group.bench.epoch();
  const auto ring = group.bench.group().ring;
  group.report(1, 2, true, LinkFault::unanswered, before);
  EXPECT_EQ(group.probes(2), 1u);
  EXPECT_EQ(group.bench.epoch(), before) << "nothing happens before the answer";
  group.bench.frame(group.at_rank(2), wire::Heartbeat{.probe = true});
  EXPECT_EQ(group.bench.epoch(), before.next());
  const auto after = group.bench.group().ring;
  EXPECT_EQ(after.size(), 4u);
  for (std::size_t rank = 0; rank < 4; ++rank)
    EXPECT_FALSE(after[rank] == ring[1] && after[(rank + 1) % 4] == ring[2])
        << "the broken path is avoided";
}

bool neighbours(const std::vector<PeerId>& ring, PeerId a, PeerId b) {
  for (std::size_t rank = 0; rank < ring.size(); ++rank) {
    const PeerId here = ring[rank], next = ring[(rank + 1) % ring.size()];
    if ((here == a && next == b) || (here == b && next == a)) return true;
  }
  return false;
}

TEST(LinkReports, NoAnswerIsAvoidedInBothDirections) {
  for (const LinkFault fault : {LinkFault::unanswered, LinkFault::unreached, LinkFault::not_opened})
    for (std::size_t rank = 0; rank < 4; ++rank) {
      Group4 group;
      const auto ring = group.bench.group().ring;
      const std::size_t next = (rank + 1) % 4;
      group.report(rank, next, true, fault, group.bench.epoch());
      group.bench.frame(group.at_rank(next), wire::Heartbeat{.probe = true});
      EXPECT_FALSE(neighbours(group.bench.group().ring, ring[rank], ring[next])) << rank;
    }
}

// Two links break at once; the second report is about the ring that the first one has replaced.
TEST(LinkReports, OfSilenceCountEvenWhenTheyCrossTheNextProposal) {
  MasterBench bench;
  const auto peers = bench.join_many(6);
  const auto ring = bench.group().ring;
  const Epoch before = bench.epoch();
  const auto at = [&](std::size_t rank) {
    return *std::find_if(peers.begin(), peers.end(),
                         [&](std::uint64_t peer) { return bench.id(peer) == ring[rank]; });
  };
  for (const std::size_t rank : {1u, 3u}) {
    bench.frame(at(rank),
                LinkFailed{before, ring[rank + 1], true, LinkFault::unanswered, "silence"});
    bench.frame(at(rank + 1), wire::Heartbeat{.probe = true});
  }
  bench.tick();
  bench.tick();
  EXPECT_FALSE(neighbours(bench.group().ring, ring[1], ring[2]));
  EXPECT_FALSE(neighbours(bench.group().ring, ring[3], ring[4]));
  EXPECT_EQ(bench.group().ring.size(), 6u);
}

TEST(LinkReports, OfManySilentDialsMakeOneNewRing) {
  MasterBench bench;
  const auto peers = bench.join_many(6);
  bench.close(peers[5]);  // five are left, and their ring is being linked
  const Epoch linking = bench.epoch();
  const auto ring = bench.group().ring;
  const auto at = [&](std::size_t rank) {
    return *std::find_if(peers.begin(), peers.end(),
                         [&](std::uint64_t peer) { return bench.id(peer) == ring[rank]; });
  };
  for (const std::size_t rank : {0u, 2u}) {
    bench.frame(at(rank),
                LinkFailed{linking, ring[rank + 1], true, LinkFault::unreached, "silence"});
    bench.frame(at(rank + 1), wire::Heartbeat{.probe = true});
  }
  EXPECT_EQ(bench.epoch(), linking) << "not yet";
  bench.pass_alive(test::peer_timeout / 2);
  EXPECT_EQ(bench.epoch(), linking.next());
  EXPECT_FALSE(neighbours(bench.group().ring, ring[0], ring[1]));
  EXPECT_FALSE(neighbours(bench.group().ring, ring[2], ring[3]));
}

TEST(LinkReports, ALinkThatStoodIsDialledAgainTwiceInAMinute) {
  using namespace std::chrono_literals;
  for (const Duration pause : {Duration{1s}, Duration{61s}}) {
    Group4 group;
    const auto ring = group.bench.group().ring;
    for (int time = 1; time <= 4; ++time) {
      group.report(0, 1, true, LinkFault::broke, group.bench.epoch());
      group.bench.frame(group.at_rank(1), wire::Heartbeat{.probe = true});
      group.bench.links_stand();
      const bool dialled_again = time <= 2 || pause > 1min;
      EXPECT_EQ(group.bench.group().ring == ring, dialled_again) << time;
      if (!dialled_again) break;
      group.bench.pass_alive(pause);
    }
  }
}

TEST(LinkReports, BothEndsOfABreakAreOneIncident) {
  Group4 group;
  const auto ring = group.bench.group().ring;
  for (int time = 1; time <= 4; ++time) {
    group.report(0, 1, true, LinkFault::broke, group.bench.epoch());
    group.bench.frame(group.at_rank(1), wire::Heartbeat{.probe = true});
    group.bench.links_stand();
  }
  EXPECT_EQ(group.bench.group().ring, ring) << "all within a moment";
}

// Nobody blames the path when the accused, or the master's own ear, was asleep.
TEST(LinkReports, AStallExplainsAFailureBetterThanThePath) {
  using namespace std::chrono_literals;
  Group4 group;
  const auto ring = group.bench.group().ring;
  const std::uint64_t accused = group.at_rank(1);
  group.bench.pass_alive(2s, {accused});
  group.report(0, 1, true, LinkFault::unanswered, group.bench.epoch());
  group.bench.frame(accused, wire::Heartbeat{.probe = true});
  EXPECT_EQ(group.bench.group().ring, ring);
}

TEST(LinkReports, ThatCannotBeTrueAreIgnored) {
  Group4 group;
  const Epoch epoch = group.bench.epoch();
  group.report(0, 2, true, LinkFault::broke, epoch);       // not its neighbour
  group.report(0, 1, false, LinkFault::broke, epoch);      // on the other side
  group.report(0, 0, true, LinkFault::broke, epoch);       // itself
  group.report(0, 1, true, LinkFault::broke, Epoch{1});    // history
  group.report(0, 1, true, LinkFault::broke, Epoch{100});  // never proposed
  group.bench.frame(group.at_rank(0), LinkFailed{epoch, PeerId{1, 2}, true, {}, ""});
  for (std::size_t rank = 0; rank < 4; ++rank) {
    EXPECT_EQ(group.probes(rank), 0u);
    group.bench.frame(group.at_rank(rank), wire::Heartbeat{.probe = true});
  }
  EXPECT_EQ(group.bench.epoch(), epoch);
}

TEST(LinkReports, AnAnswerThatNobodyAskedForIsAHeartbeat) {
  Group4 group;
  const Epoch epoch = group.bench.epoch();
  for (int time = 0; time < 10; ++time)
    group.bench.frame(group.at_rank(0), wire::Heartbeat{.probe = true});
  EXPECT_EQ(group.bench.epoch(), epoch);
}

TEST(LinkReports, RepeatedOnesAreOne) {
  Group4 group;
  const Epoch epoch = group.bench.epoch();
  for (int time = 0; time < 5; ++time) group.report(0, 1, true, LinkFault::broke, epoch);
  EXPECT_EQ(group.probes(1), 1u);
  group.bench.frame(group.at_rank(1), wire::Heartbeat{.probe = true});
  EXPECT_EQ(group.bench.epoch(), epoch.next());
  group.bench.frame(group.at_rank(1), wire::Heartbeat{.probe = true});
  EXPECT_EQ(group.bench.epoch(), epoch.next());
}

TEST(LinkReports, AFloodOfThemTakesNoMemory) {
  auto group = std::make_unique<Group4>();
  const Epoch epoch = group->bench.epoch();
  const PeerId accused = group->bench.group().ring[1];
  const std::uint64_t hostile = group->at_rank(0);
  const std::size_t before = pccl::test::live_bytes();
  for (int time = 0; time < 5000; ++time) {
    group->bench.frame(hostile, LinkFailed{epoch, accused, true, {}, std::string(900, 'x')});
    group->bench.forget_what_was_sent();
  }
  EXPECT_LT(pccl::test::live_bytes() - before, std::size_t{200} << 10);
}

TEST(LinkReports, APairWithoutAPathLosesOneMember) {
  MasterBench bench;
  const auto peers = bench.join_many(2);
  const auto ring = bench.group().ring;
  const std::uint64_t from = bench.id(peers[0]) == ring[0] ? peers[0] : peers[1];
  const std::uint64_t to = from == peers[0] ? peers[1] : peers[0];
  bench.frame(from, LinkFailed{bench.epoch(), ring[1], true, LinkFault::not_opened, "refused"});
  bench.frame(to, wire::Heartbeat{.probe = true});
  EXPECT_TRUE(bench.closed(to)) << "a closed door is the commoner fault";
  EXPECT_FALSE(bench.closed(from));
  bench.links_stand();
  EXPECT_EQ(bench.group().ring.size(), 1u);
  EXPECT_TRUE(bench.group().linked);
}

TEST(LinkReports, APairWhosePathIsCutLosesTheYounger) {
  for (const std::size_t rank : {0u, 1u})
    for (const bool outgoing : {true, false}) {
      MasterBench bench;
      const auto peers = bench.join_many(2);
      const std::uint64_t from = peers[rank], to = peers[1 - rank];
      bench.frame(from,
                  LinkFailed{bench.epoch(), bench.id(to), outgoing, LinkFault::unanswered, ""});
      bench.frame(to, wire::Heartbeat{.probe = true});
      EXPECT_TRUE(bench.closed(peers[1])) << "whoever reports it";
      EXPECT_FALSE(bench.closed(peers[0]));
    }
}

TEST(LinkReports, OfACandidateDropTheCandidateWhenThereIsNoWayRound) {
  MasterBench bench;
  const auto peers = bench.join_many(1);
  const std::uint64_t candidate = bench.greet();
  bench.call_update(peers);
  const auto proposed = bench.last<wire::EpochProposed>(peers[0]);
  bench.frame(peers[0], LinkFailed{proposed.epoch, bench.id(candidate), true, {}, "no route"});
  bench.frame(candidate, wire::Heartbeat{.probe = true});
  EXPECT_TRUE(bench.closed(candidate));
  EXPECT_NE(bench.removal(candidate).find("cannot reach"), std::string::npos);
  bench.links_stand();
  EXPECT_EQ(bench.last<wire::CallResult>(peers[0]).status, Status::ok);
  EXPECT_EQ(bench.group().ring.size(), 1u);
}

TEST(LinksReady, FromAnEpochThatIsNotProposedIsIgnored) {
  Group4 group;
  group.bench.close(group.peers[3]);
  const Epoch epoch = group.bench.epoch();
  for (const std::uint64_t peer : {group.peers[0], group.peers[1], group.peers[2]})
    for (const std::uint64_t wrong : {epoch.value - 1, epoch.value + 1, std::uint64_t{0}})
      group.bench.frame(peer, wire::LinksReady{Epoch{wrong}});
  EXPECT_FALSE(group.bench.group().linked);
  for (int time = 0; time < 3; ++time) group.bench.frame(group.peers[0], wire::LinksReady{epoch});
  EXPECT_FALSE(group.bench.group().linked) << "one peer's word counts once";
  group.bench.links_stand();
  EXPECT_TRUE(group.bench.group().linked);
}

}  // namespace
}  // namespace pccl::membership
