// All-reduce over real sockets: right, and the same bits everywhere.
#include <pccl.h>

#include <array>

#include "e2e/run.hpp"

namespace e2e {
namespace {

void expect_right(const std::vector<Line>& lines, std::size_t world, const std::string& what) {
  for (const Line& line : lines) {
    EXPECT_TRUE(line.ok()) << what << ": " << line.whole;
    if (!line.ok()) continue;
    EXPECT_EQ(line.number("right"), 1U) << what << ": " << line.whole;
    EXPECT_EQ(line.number("digest"), lines[0].number("digest")) << what << ": " << line.whole;
    EXPECT_EQ(line.number("world"), world) << what << ": " << line.whole;
    if (!line.values.contains("intact")) continue;
    EXPECT_EQ(line.number("intact"), 1U) << what << ": " << line.whole;
  }
}

std::string reduce(std::uint64_t tag, std::size_t count, int type, int op, bool in_place) {
  return "reduce tag=" + std::to_string(tag) + " count=" + std::to_string(count) +
         " type=" + std::to_string(type) + " op=" + std::to_string(op) +
         " inplace=" + std::to_string(in_place ? 1 : 0) +
         " seed=" + std::to_string(tag * 7 + count);
}

TEST(AllReduce, AloneIsTooFew) {
  LiveRun run;
  const auto peers = run.join(1);
  const Line line = peers[0]->ask(reduce(1, 10, pcclFloat, pcclSum, true));
  EXPECT_EQ(line.result, "pcclTooFewPeers") << line.whole;
  EXPECT_EQ(line.number("intact"), 1U);
  EXPECT_NE(line.text, "");
}

class Worlds : public testing::TestWithParam<std::pair<std::size_t, std::uint32_t>> {};

// Every type with every operation once, through the master and around the ring, in and out of place
// in turn.
TEST_P(Worlds, EveryTypeAndOperation) {
  const auto [world, lanes] = GetParam();
  LiveRun run;
  const auto peers = run.join(world, {.lanes = lanes});
  std::uint64_t tag = 0;
  for (int type = pcclUint8; type <= pcclDouble; ++type)
    for (int op = pcclSum; op <= pcclMin; ++op) {
      ++tag;
      const std::string star = reduce(tag, 17, type, op, tag % 2 == 0);
      expect_right(ask_all(peers, star), world, star);
      const std::string ring = reduce(tag, 9001, type, op, tag % 3 == 0);
      expect_right(ask_all(peers, ring), world, ring);
      if (HasFailure()) return;
    }
}

// Around the number of ranks, around the limit of the star, and many segments with a rest.
TEST_P(Worlds, EverySize) {
  const auto [world, lanes] = GetParam();
  LiveRun run;
  const auto peers = run.join(world, {.lanes = lanes});
  constexpr std::size_t star_floats =
      (32 << 10) / sizeof(float);  // the most that travel through the master
  std::uint64_t tag = 0;
  for (const std::size_t count :
       {std::size_t{0}, std::size_t{1}, world - 1, world, world + 1, star_floats - 1, star_floats,
        star_floats + 1, std::size_t{70'000}, (std::size_t{1} << 20) + 3})
    for (const bool in_place : {false, true}) {
      const std::string command = reduce(++tag, count, pcclFloat, pcclSum, in_place);
      const auto lines = ask_all(peers, command);
      expect_right(lines, world, command);
      if (HasFailure()) return;
      // A ring sends and receives 2 (n - 1) / n of the tensor, rounded to whole elements.
      if (count <= star_floats) continue;
      const std::size_t share = 2 * (world - 1) * count / world * sizeof(float);
      for (const Line& line : lines)
        for (const char* direction : {"tx", "rx"})
          EXPECT_NEAR(static_cast<double>(line.number(direction)), static_cast<double>(share),
                      static_cast<double>(2 * world * sizeof(float)))
              << line.whole;
    }
}

INSTANTIATE_TEST_SUITE_P(WorldsAndLanes, Worlds,
                         testing::Values(std::pair{2, 0}, std::pair{2, 1}, std::pair{3, 2},
                                         std::pair{3, 5}),
                         [](const auto& instance) {
                           return std::to_string(instance.param.first) + "PeersPool" +
                                  std::to_string(instance.param.second);
                         });

TEST(AllReduce, SixteenPeers) {
  LiveRun run;
  const auto peers = run.join(16, {.lanes = 1});
  std::uint64_t tag = 0;
  for (const std::size_t count : {1, 15, 16, 17, 3000})
    for (const int type : {pcclFloat16, pcclInt32, pcclDouble}) {
      ++tag;
      const std::string command = reduce(tag, count, type, static_cast<int>(tag % 5), tag % 2 == 0);
      expect_right(ask_all(peers, command), 16, command);
    }
}

TEST(AllReduce, BytesOfTheSmallestCallAreThoseOfTheOriginal) {
  LiveRun run;
  const auto peers = run.join(2);
  for (const Line& line : ask_all(peers, reduce(1, 1, pcclFloat, pcclSum, false))) {
    EXPECT_EQ(line.number("tx"), 4U) << line.whole;
    EXPECT_EQ(line.number("rx"), 4U) << line.whole;
  }
}

TEST(AllReduce, ManyAtOnceInADifferentOrderOnEachPeer) {
  LiveRun run;
  const auto peers = run.join(3);
  for (int round = 0; round < 10; ++round)
    for (const std::size_t count : {50, 20'000}) {
      const auto lines = ask_all(peers, "shuffled ops=32 count=" + std::to_string(count) +
                                            " seed=" + std::to_string(round));
      expect_all(lines, "pcclSuccess");
      for (const Line& line : lines) EXPECT_EQ(line.number("right"), 1U) << line.whole;
      if (HasFailure()) return;
    }
}

TEST(AllReduce, GroupsReduceApart) {
  LiveRun run;
  std::vector<Peer*> all;
  for (const std::uint32_t group : {7U, 7U, 9U, 9U, 9U})
    all.push_back(&run.start({.group = group}));
  expect_all(ask_all(all, "join world=5"), "pcclSuccess");
  for (Peer* peer : all) {
    const Line sizes = peer->ask("sizes");
    EXPECT_EQ(sizes.number("global"), 5U);
    EXPECT_EQ(sizes.number("groups"), 2U);
    EXPECT_EQ(sizes.number("largest"), 3U);
    EXPECT_EQ(sizes.number("world"), peer->id() < 2 ? 2U : 3U);
  }
  for (Peer* peer : all) peer->say("loop count=60000");
  for (Peer* peer : all) EXPECT_EQ(peer->event("ok").number("world"), peer->id() < 2 ? 2U : 3U);
  // A death in one group leaves the other's ops alone.
  all[4]->kill();
  all.pop_back();
  for (Peer* peer : {all[2], all[3]}) peer->event("failed");
  for (Peer* peer : {all[2], all[3]}) EXPECT_EQ(peer->event("ok").number("world"), 2U);
  const auto lines = stop_loop(all);
  EXPECT_EQ(lines[0].number("failures"), 0U);
  EXPECT_EQ(lines[1].number("failures"), 0U);
}

}  // namespace
}  // namespace e2e
