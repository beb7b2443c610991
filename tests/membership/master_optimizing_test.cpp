// pcclOptimizeTopology at the master: what is measured when, what becomes of failures, and that the
// new rings are installed together.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <optional>

#include "base/limits.hpp"
#include "membership/master_bench.hpp"

namespace pccl::membership {
namespace {

using namespace std::chrono_literals;
using test::MasterBench;
using wire::CallKind;
using wire::CallResult;
using wire::EpochInstalled;
using wire::EpochProposed;
using wire::LinkFault;
using wire::PathMeasured;
using wire::PathWanted;

using Rate = std::function<std::uint64_t(PeerId from, PeerId to)>;  // 0: it cannot be measured

struct Optimizing : testing::Test {
  void add(std::size_t count, Group group = {}) {
    for (const std::uint64_t peer : bench.join_many(count, group)) peers.push_back(peer);
  }
  void call(CallKind what = CallKind::optimize_topology) {
    bench.forget_what_was_sent();
    bench.call(what, peers);
  }
  std::uint64_t connection_of(PeerId id) const {
    return *std::find_if(peers.begin(), peers.end(),
                         [&](std::uint64_t peer) { return bench.id(peer) == id; });
  }
  // The measurements that have been ordered and not reported.
  struct Ordered {
    std::uint64_t from, to;  // connections
    wire::Token token;
  };
  std::vector<Ordered> ordered() const {
    std::vector<Ordered> open;
    for (const std::uint64_t peer : peers)
      for (const auto& wanted : bench.sent<PathWanted>(peer))
        if (wanted.outgoing && !reported.contains(wanted.token))
          open.push_back({peer, connection_of(wanted.other.peer), wanted.token});
    return open;
  }
  void report(const Ordered& path, std::uint64_t bits_per_s,
              LinkFault fault = LinkFault::not_opened) {
    reported.insert(path.token);
    bench.frame(bits_per_s == 0 ? path.from : path.to,
                PathMeasured{path.token, bits_per_s, 20'000, fault, ""});
  }
  // Reports all rounds; gives their number.
  std::size_t measure(const Rate& rate) {
    std::size_t rounds = 0;
    for (auto round = ordered(); !round.empty(); round = ordered(), ++rounds) {
      std::set<std::uint64_t> senders, receivers;
      for (const Ordered& path : round) {
        EXPECT_TRUE(senders.insert(path.from).second);
        EXPECT_TRUE(receivers.insert(path.to).second);
      }
      for (const Ordered& path : round) report(path, rate(bench.id(path.from), bench.id(path.to)));
    }
    return rounds;
  }
  static std::uint64_t all_alike(PeerId, PeerId) { return 1'000'000'000; }
  void expect_answers(const std::vector<std::uint64_t>& whom, Status status = Status::ok) {
    for (const std::uint64_t peer : whom) {
      ASSERT_EQ(bench.sent<CallResult>(peer).size(), 1u);
      EXPECT_EQ(bench.last<CallResult>(peer).status, status);
    }
  }
  bool leads(PeerId from, PeerId to, Group group = {}) {
    const auto ring = bench.group(group).ring;
    const auto at = std::find(ring.begin(), ring.end(), from);
    return (at + 1 == ring.end() ? ring.front() : *(at + 1)) == to;
  }

  MasterBench bench;
  std::vector<std::uint64_t> peers;
  std::set<wire::Token> reported;
};

TEST_F(Optimizing, MeasuresEveryPathOnceAndKeepsAGoodRing) {
  add(5);
  const Epoch epoch = bench.epoch();
  call();
  EXPECT_EQ(ordered().size(), 5u);
  EXPECT_EQ(measure(all_alike), 4u);
  ASSERT_TRUE(bench.question());
  EXPECT_EQ(bench.question()->groups.at({}).count(), 5u);
  bench.answer_question();
  expect_answers(peers);
  EXPECT_EQ(bench.epoch(), epoch);
  call();
  EXPECT_EQ(ordered().size(), 0u) << "all is known";
  EXPECT_FALSE(bench.question());
  expect_answers(peers);
}

TEST_F(Optimizing, InstallsTheBetterRingAtAllTogether) {
  add(6);
  const auto before = bench.group().ring;
  const Epoch epoch = bench.epoch();
  call();
  measure([&](PeerId from, PeerId to) {
    return leads(from, to) && from != before[5] ? 10'000'000ull : 1'000'000'000ull;
  });
  bench.answer_question();
  EXPECT_EQ(bench.epoch(), epoch) << "void until it is linked";
  for (const std::uint64_t peer : peers) EXPECT_TRUE(bench.sent<CallResult>(peer).empty());
  bench.links_stand();
  EXPECT_EQ(bench.epoch(), epoch.next());
  expect_answers(peers);
  for (const std::uint64_t peer : peers) {
    ASSERT_EQ(bench.sent<EpochInstalled>(peer).size(), 1u);
    EXPECT_EQ(bench.last<EpochInstalled>(peer).round, bench.last<CallResult>(peer).round);
  }
  for (std::size_t rank = 0; rank < 5; ++rank) EXPECT_FALSE(leads(before[rank], before[rank + 1]));
}

TEST_F(Optimizing, ANewcomersPathsAreMeasuredAndNoOthers) {
  add(3);
  call();
  measure(all_alike);
  bench.answer_question();
  peers.push_back(bench.join());
  call();
  std::size_t paths = 0;
  EXPECT_EQ(measure([&](PeerId from, PeerId to) {
              const PeerId newcomer = bench.id(peers.back());
              EXPECT_TRUE(from == newcomer || to == newcomer);
              ++paths;
              return 1'000'000'000ull;
            }),
            3u);
  EXPECT_EQ(paths, 6u);
}

TEST_F(Optimizing, NobodyIsAdmittedByIt) {
  add(3);
  const std::uint64_t newcomer = bench.greet();
  call();
  measure([&](PeerId from, PeerId to) { return leads(from, to) ? 1'000'000ull : 9'000'000ull; });
  bench.answer_question();
  bench.links_stand();
  expect_answers(peers);
  EXPECT_EQ(bench.machine().pending_peers(), 1u);
  EXPECT_TRUE(bench.sent<EpochProposed>(newcomer).empty());
}

TEST_F(Optimizing, WhoDiesTakesItsMeasurementsAlong) {
  for (const std::size_t rounds_before : {0u, 1u, 2u, 99u}) {
    SCOPED_TRACE(rounds_before);
    add(4);
    call();
    for (std::size_t round = 0; round < rounds_before && !ordered().empty(); ++round)
      for (const Ordered& path : ordered()) report(path, 1'000'000'000);
    const std::uint64_t victim = peers[1];
    bench.close(victim);
    peers.erase(peers.begin() + 1);
    for (const Ordered& path : ordered())
      if (path.from != victim && path.to != victim) report(path, 1'000'000'000);
    // Of pairs with the lost one nothing is awaited any more.
    for (auto round = ordered(); !bench.question() && !round.empty(); round = ordered())
      for (const Ordered& path : round) report(path, 1'000'000'000);
    bench.links_stand();
    bench.answer_question();
    bench.links_stand();
    expect_answers(peers);
    EXPECT_EQ(bench.group().ring.size(), peers.size());
    for (const std::uint64_t peer : peers) bench.close(peer);
    peers.clear();
  }
}

TEST_F(Optimizing, WhatCannotBeOpenedIsAvoided) {
  add(4);
  const auto ring = bench.group().ring;
  call();
  measure([&](PeerId from, PeerId to) {
    if (leads(from, to)) return 1'000'000ull;  // all else is better
    return from == ring[0] && to == ring[2] ? 0ull : 1'000'000'000ull;
  });
  bench.answer_question();
  bench.links_stand();
  expect_answers(peers);
  EXPECT_FALSE(leads(ring[0], ring[2]));
  call();
  EXPECT_EQ(ordered().size(), 0u) << "a path that broke a moment ago is left in peace";
  expect_answers(peers);
  bench.pass_alive(31s);
  call();
  EXPECT_EQ(ordered().size(), 1u) << "later it is tried again";
}

TEST_F(Optimizing, AFailureOfAPathWhoseLinkStandsIsNoBrokenPath) {
  add(3);
  call();
  measure([&](PeerId from, PeerId to) { return leads(from, to) ? 0ull : 1ull; });
  bench.answer_question();
  bench.links_stand();
  expect_answers(peers);
  call();
  EXPECT_EQ(ordered().size(), 3u) << "it is measured again at once";
}

TEST_F(Optimizing, ASilentPairHoldsUpTheOthersForABoundedTime) {
  add(3);
  call();
  for (int round = 0; round < 2; ++round) {
    for (const Ordered& path : ordered()) reported.insert(path.token);  // never
    bench.pass_alive(3 * test::peer_timeout + limits::path_load_time + 1s);
  }
  ASSERT_TRUE(bench.question());
  bench.answer_question();
  expect_answers(peers);
}

TEST_F(Optimizing, OnlyTheEndsOfAPathAreHeardAndOnlyOnce) {
  add(3);
  call();
  const auto round = ordered();
  for (const Ordered& path : round) {
    for (const std::uint64_t peer : peers)
      if (peer != path.to) bench.frame(peer, PathMeasured{path.token, 5, 5, LinkFault::broke, ""});
    EXPECT_FALSE(bench.question());
  }
  EXPECT_EQ(ordered().size(), 3u) << "who sends cannot say how fast it was";
  for (const Ordered& path : round) report(path, 1'000'000'000);
  for (const Ordered& path : round) report(path, 1);
  EXPECT_EQ(ordered().size(), 3u);
  for (const Ordered& path : ordered()) report(path, 1'000'000'000);
  for (plan::Index from = 0; from < 3; ++from)
    for (plan::Index to = 0; to < 3; ++to)
      if (from != to) {
        EXPECT_EQ(bench.question()->groups.at({}).of(from, to).bits_per_s, 1e9);
      }
}

TEST_F(Optimizing, GroupsAreMeasuredTogetherAndInstalledTogether) {
  add(3, Group{1});
  add(4, Group{2});
  add(1, Group{3});
  call();
  EXPECT_EQ(ordered().size(), 7u);
  measure([&](PeerId from, PeerId to) {
    for (const Group group : {Group{1}, Group{2}}) {
      const auto ring = bench.group(group).ring;
      if (std::find(ring.begin(), ring.end(), from) != ring.end() && leads(from, to, group))
        return 1'000'000ull;
    }
    return 1'000'000'000ull;
  });
  bench.answer_question();
  const Epoch first = bench.epoch(Group{1}), second = bench.epoch(Group{2});
  bench.links_stand();
  EXPECT_GT(bench.epoch(Group{1}), first);
  EXPECT_GT(bench.epoch(Group{2}), second);
  expect_answers(peers);
}

TEST_F(Optimizing, OneAloneIsAnsweredAtOnce) {
  add(1);
  call();
  expect_answers(peers);
}

TEST_F(Optimizing, IsNotMixedWithOtherCalls) {
  add(3);
  bench.forget_what_was_sent();
  bench.call(CallKind::optimize_topology, {peers[0], peers[1]});
  EXPECT_EQ(ordered().size(), 0u);
  bench.call(CallKind::update_topology, {peers[2]});
  expect_answers(peers, Status::invalid_usage);
  EXPECT_NE(bench.last<CallResult>(peers[0]).why.find("in pcclOptimizeTopology"),
            std::string::npos);
}

TEST_F(Optimizing, ALateAnswerAboutRingsIsIgnored) {
  add(3);
  call();
  measure(all_alike);
  const auto asked = bench.question();
  bench.answer_question();
  bench.forget_what_was_sent();
  bench.solved({asked->question, {{Group{}, plan::Order{0, 2, 1}}}});
  for (const std::uint64_t peer : peers) EXPECT_TRUE(bench.everything_sent(peer).empty());
}

}  // namespace
}  // namespace pccl::membership
