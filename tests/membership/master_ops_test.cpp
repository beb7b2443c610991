// Ops at the master: one verdict each, and what a peer may not do.
#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "base/limits.hpp"
#include "membership/master_bench.hpp"

namespace pccl::membership {
namespace {

using test::MasterBench;
using wire::Algorithm;
using wire::OpBegin;
using wire::OpDescriptor;
using wire::OpDone;
using wire::OpOutcome;
using wire::OpVerdict;

constexpr OpDescriptor ring_sum{100'000, DataType::float32, RedOp::sum, Algorithm::ring};

struct Ops : testing::Test {
  OpKey key(std::uint64_t tag = 1, std::uint32_t launch = 0) {
    return {bench.epoch(), Tag{tag}, Launch{launch}};
  }
  void begin(std::size_t peer, const OpKey& op, const OpDescriptor& what = ring_sum,
             std::vector<std::byte> input = {}) {
    bench.frame(peers[peer], OpBegin{op, what, std::move(input)});
  }
  void done(std::size_t peer, const OpKey& op) { bench.frame(peers[peer], OpDone{op}); }
  std::vector<OpVerdict> verdicts(std::size_t peer) { return bench.sent<OpVerdict>(peers[peer]); }
  std::string removal(std::size_t peer) { return bench.removal(peers[peer]); }
  void expect_only_removed(std::size_t removed) {
    for (std::size_t peer = 0; peer < peers.size(); ++peer)
      EXPECT_EQ(bench.closed(peers[peer]), peer == removed) << peer;
  }

  MasterBench bench;
  std::vector<std::uint64_t> peers = bench.join_many(3);
};

std::vector<std::byte> floats(std::initializer_list<float> values) {
  std::vector<std::byte> bytes(values.size() * sizeof(float));
  std::memcpy(bytes.data(), values.begin(), bytes.size());
  return bytes;
}

TEST_F(Ops, ARingCommitsWhenTheLastMemberIsDone) {
  const OpKey op = key();
  for (const std::size_t peer : {2u, 0u, 1u}) begin(peer, op);
  for (const std::size_t peer : {1u, 2u}) done(peer, op);
  EXPECT_TRUE(verdicts(0).empty());
  EXPECT_EQ(bench.group().open_ops, 1u);
  done(0, op);
  for (std::size_t peer = 0; peer < 3; ++peer) {
    ASSERT_EQ(verdicts(peer).size(), 1u);
    EXPECT_EQ(verdicts(peer)[0].op, op);
    EXPECT_EQ(verdicts(peer)[0].outcome, OpOutcome::committed);
    EXPECT_EQ(verdicts(peer)[0].number, VerdictNumber{1});
    EXPECT_TRUE(verdicts(peer)[0].result.empty());
  }
  EXPECT_EQ(bench.group().open_ops, 0u);
}

// Before the next heartbeat is due: the results of stars are not kept so long.
TEST_F(Ops, WhatAllReportIsToldAtOnceToBeForgotten) {
  const auto beats = [&](std::size_t peer) { return bench.sent<wire::Heartbeat>(peers[peer]); };
  for (std::uint64_t tag = 0; tag < limits::verdicts_per_report; ++tag) {
    for (std::size_t peer = 0; peer < 3; ++peer) begin(peer, key(tag));
    for (std::size_t peer = 0; peer < 3; ++peer) done(peer, key(tag));
  }
  const VerdictNumber all{limits::verdicts_per_report};
  for (std::size_t peer = 0; peer < 3; ++peer) {
    EXPECT_TRUE(beats(0).empty()) << "while some may lack a verdict";
    bench.frame(peers[peer], wire::Heartbeat{.epoch = key().epoch, .verdict = all});
  }
  for (std::size_t peer = 0; peer < 3; ++peer) {
    ASSERT_EQ(beats(peer).size(), 1u);
    EXPECT_EQ(beats(peer)[0].epoch, key().epoch);
    EXPECT_EQ(beats(peer)[0].verdict, all);
  }
}

TEST_F(Ops, AStarCommitsWithTheResultWhenTheLastInputComes) {
  const OpDescriptor star{2, DataType::float32, RedOp::avg, Algorithm::star};
  const OpKey op = key();
  begin(0, op, star, floats({1, 10}));
  begin(2, op, star, floats({3, 30}));
  EXPECT_TRUE(verdicts(0).empty());
  begin(1, op, star, floats({2, 20}));
  for (std::size_t peer = 0; peer < 3; ++peer) {
    ASSERT_EQ(verdicts(peer).size(), 1u);
    EXPECT_EQ(verdicts(peer)[0].outcome, OpOutcome::committed);
    EXPECT_EQ(verdicts(peer)[0].result, floats({2, 20}));
  }
}

TEST_F(Ops, DescriptorsThatDifferFailForAllWithBothInTheReason) {
  const OpKey op = key();
  begin(0, op);
  OpDescriptor other = ring_sum;
  other.op = RedOp::max;
  begin(1, op, other);
  for (std::size_t peer = 0; peer < 3; ++peer) {
    ASSERT_EQ(verdicts(peer).size(), 1u);
    EXPECT_EQ(verdicts(peer)[0].outcome, OpOutcome::mismatched);
    EXPECT_NE(verdicts(peer)[0].why.find("float32 sum (ring)"), std::string::npos);
    EXPECT_NE(verdicts(peer)[0].why.find("float32 max (ring)"), std::string::npos);
  }
  begin(2, op);  // it crossed the verdict
  done(0, op);
  EXPECT_EQ(verdicts(2).size(), 1u) << "one verdict for an op";
  expect_only_removed(99);
}

TEST_F(Ops, EveryDifferenceIsAMismatch) {
  OpDescriptor type = ring_sum, count = ring_sum, algorithm = ring_sum;
  type.type = DataType::int32;
  ++count.count;
  algorithm = {1, DataType::float32, RedOp::sum, Algorithm::star};
  std::uint64_t tag = 10;
  for (const OpDescriptor& other : {type, count, algorithm}) {
    const OpKey op = key(++tag);
    begin(0, op);
    begin(1, op, other, std::vector<std::byte>(other.algorithm == Algorithm::star ? 4 : 0));
    ASSERT_FALSE(verdicts(2).empty());
    EXPECT_EQ(verdicts(2).back().op, op);
    EXPECT_EQ(verdicts(2).back().outcome, OpOutcome::mismatched);
  }
}

TEST_F(Ops, BegunTwiceIsAProtocolError) {
  begin(0, key());
  begin(0, key());
  EXPECT_NE(removal(0).find("begun twice"), std::string::npos) << removal(0);
  expect_only_removed(0);
}

TEST_F(Ops, DoneBeforeBegunIsAProtocolError) {
  begin(0, key());
  done(1, key());
  EXPECT_NE(removal(1).find("before it began"), std::string::npos) << removal(1);
  expect_only_removed(1);
}

TEST_F(Ops, DoneTwiceCountsOnce) {
  const OpKey op = key();
  for (std::size_t peer = 0; peer < 3; ++peer) begin(peer, op);
  done(0, op);
  done(0, op);
  done(0, op);
  EXPECT_TRUE(verdicts(0).empty());
  expect_only_removed(99);
}

TEST_F(Ops, OfAnOlderEpochAreVoidAlready) {
  const OpKey old = key();
  bench.close(peers[2]);
  begin(0, old);
  done(1, old);
  EXPECT_EQ(bench.group().open_ops, 0u);
  EXPECT_TRUE(bench.is_open(peers[0]));
  EXPECT_TRUE(bench.is_open(peers[1]));
}

TEST_F(Ops, OfAnEpochThatDoesNotExistAreAProtocolError) {
  OpKey op = key();
  op.epoch = op.epoch.next();
  begin(0, op);
  EXPECT_NE(removal(0).find("epoch that does not exist"), std::string::npos);
  expect_only_removed(0);
}

TEST(OpsAlone, AStarsInputHasTheSizeOfItsDescriptor) {
  const OpDescriptor star{2, DataType::float64, RedOp::sum, Algorithm::star};
  for (const std::size_t bytes : {0u, 15u, 17u, 4096u}) {
    MasterBench bench;
    const auto peers = bench.join_many(2);
    bench.frame(peers[0],
                OpBegin{{bench.epoch(), Tag{1}, Launch{0}}, star, std::vector<std::byte>(bytes)});
    EXPECT_NE(bench.removal(peers[0]).find("protocol error"), std::string::npos) << bytes;
    EXPECT_TRUE(bench.is_open(peers[1]));
  }
}

TEST_F(Ops, ARingHasNoInputAtTheMaster) {
  begin(1, key(), ring_sum, std::vector<std::byte>(4));
  EXPECT_NE(removal(1).find("protocol error"), std::string::npos);
  expect_only_removed(1);
}

TEST_F(Ops, AStarHasALimit) {
  const OpDescriptor largest{limits::star_bytes, DataType::uint8, RedOp::sum, Algorithm::star};
  begin(0, key(1), largest, std::vector<std::byte>(limits::star_bytes));
  EXPECT_TRUE(bench.is_open(peers[0]));
  OpDescriptor larger = largest;
  ++larger.count;
  begin(0, key(2), larger, std::vector<std::byte>(limits::star_bytes + 1));
  EXPECT_TRUE(bench.closed(peers[0]));
}

// count * size wraps round to a size that would fit the input.
TEST(OpsAlone, ACountThatOverflowsIsRefused) {
  for (const std::uint64_t count : {(std::uint64_t{1} << 61) + 1, std::uint64_t{1} << 61,
                                    std::numeric_limits<std::uint64_t>::max()}) {
    MasterBench bench;
    const auto peer = bench.join_many(1)[0];
    const OpDescriptor star{count, DataType::float64, RedOp::avg, Algorithm::star};
    bench.frame(
        peer,
        OpBegin{{bench.epoch(), Tag{1}, Launch{0}}, star, std::vector<std::byte>(count * 8 % 256)});
    EXPECT_TRUE(bench.closed(peer)) << count;
  }
}

TEST_F(Ops, AMemberHasALimitOfOpenOps) {
  const std::size_t most = limits::ops_in_flight * peers.size();
  for (std::size_t tag = 0; tag < most; ++tag) begin(0, key(tag));
  EXPECT_TRUE(bench.is_open(peers[0]));
  EXPECT_EQ(bench.group().open_ops, most);
  begin(0, key(most));
  EXPECT_NE(removal(0).find("more ops in flight than the limit"), std::string::npos);
  expect_only_removed(0);
}

TEST_F(Ops, VerdictsAreNumberedInTheirEpochAndStartAgainInTheNext) {
  const auto run = [&](std::uint64_t tag, std::size_t members) {
    const OpKey op = key(tag);
    for (std::size_t peer = 0; peer < members; ++peer) begin(peer, op);
    for (std::size_t peer = 0; peer < members; ++peer) done(peer, op);
    return verdicts(0).back().number;
  };
  EXPECT_EQ(run(1, 3), VerdictNumber{1});
  EXPECT_EQ(run(2, 3), VerdictNumber{2});
  bench.close(peers[2]);
  EXPECT_EQ(run(3, 2), VerdictNumber{1});
}

TEST_F(Ops, OpenOnesAreVoidWhenAMemberIsLost) {
  const OpKey op = key();
  for (std::size_t peer = 0; peer < 3; ++peer) begin(peer, op);
  done(0, op);
  done(1, op);
  bench.close(peers[2]);
  EXPECT_TRUE(verdicts(0).empty()) << "the new epoch says it";
  EXPECT_EQ(bench.last<wire::EpochProposed>(peers[0]).reason, wire::EpochReason::recovery);
  EXPECT_EQ(bench.group().open_ops, 0u);
}

// A peer that launches while it waits in a call keeps no promise. A loss in the admission that
// follows makes the ring shorter: an op that the lost one had begun must not look complete.
TEST(OpsAlone, BegunInAnAdmissionDoNotSurviveALossInIt) {
  const OpDescriptor star{1, DataType::float32, RedOp::sum, Algorithm::star};
  MasterBench bench;
  const auto peers = bench.join_many(4);
  const std::uint64_t candidate = bench.greet();
  bench.call_update(peers);
  const OpKey op{bench.epoch(), Tag{1}, Launch{0}};
  const auto begin = [&](std::size_t peer) {
    bench.frame(peers[peer], OpBegin{op, star, floats({1})});
  };
  begin(0);
  begin(2);
  bench.close(peers[2]);
  begin(1);
  for (const std::uint64_t peer : peers) EXPECT_TRUE(bench.sent<OpVerdict>(peer).empty());
  bench.links_stand();
  EXPECT_EQ(bench.group().ring.size(), 4u);
  EXPECT_TRUE(bench.is_open(candidate));
  EXPECT_EQ(bench.group().open_ops, 0u);
}

TEST_F(Ops, TheWatermarkIsWhatAllMembersHave) {
  for (std::uint64_t tag = 1; tag <= 3; ++tag) {
    for (std::size_t peer = 0; peer < 3; ++peer) begin(peer, key(tag));
    for (std::size_t peer = 0; peer < 3; ++peer) done(peer, key(tag));
  }
  const auto seen = [&](std::size_t peer, std::uint64_t number) {
    bench.frame(peers[peer],
                wire::Heartbeat{.epoch = bench.epoch(), .verdict = VerdictNumber{number}});
  };
  EXPECT_EQ(bench.group().watermark, VerdictNumber{0});
  seen(0, 3);
  seen(1, 2);
  EXPECT_EQ(bench.group().watermark, VerdictNumber{0});
  seen(2, 1);
  EXPECT_EQ(bench.group().watermark, VerdictNumber{1});
  seen(2, 3);
  seen(2, 2);
  EXPECT_EQ(bench.group().watermark, VerdictNumber{2}) << "never falls";
  bench.frame(peers[0], wire::Heartbeat{.epoch = Epoch{1}, .verdict = VerdictNumber{900}});
  seen(1, 0xffffffffffffffff);
  EXPECT_EQ(bench.group().watermark, VerdictNumber{3}) << "nobody has more than there is";
}

TEST_F(Ops, OfAnotherGroupAreNotTouched) {
  MasterBench both;
  const std::uint64_t a = both.join(Group{1}), b = both.join(Group{1}), c = both.join(Group{2}),
                      d = both.join(Group{2});
  both.forget_what_was_sent();
  const Epoch epoch_1 = both.epoch(Group{1}), epoch_2 = both.epoch(Group{2});
  for (const std::uint64_t peer : {c, d})
    both.frame(peer, OpBegin{{epoch_2, Tag{1}, Launch{0}}, ring_sum, {}});
  both.close(a);
  EXPECT_EQ(both.epoch(Group{1}), epoch_1.next());
  EXPECT_EQ(both.epoch(Group{2}), epoch_2);
  for (const std::uint64_t peer : {c, d}) both.frame(peer, OpDone{{epoch_2, Tag{1}, Launch{0}}});
  EXPECT_EQ(both.last<OpVerdict>(c).outcome, OpOutcome::committed);
  EXPECT_TRUE(both.sent<OpVerdict>(b).empty());
}

}  // namespace
}  // namespace pccl::membership
