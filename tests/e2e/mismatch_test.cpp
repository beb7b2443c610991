// Calls that do not fit together, and calls that fit nowhere: an error with words for everyone, and
// the run goes on.
#include <pccl.h>

#include "e2e/run.hpp"

namespace e2e {
namespace {

void expect_in_text(const Line& line, const std::vector<std::string>& parts) {
  for (const std::string& part : parts)
    EXPECT_NE(line.text.find(part), std::string::npos) << "no '" << part << "' in: " << line.whole;
}

void expect_going_on(const std::vector<Peer*>& peers) {
  for (const std::size_t count : {10, 50'000}) {
    const auto lines = ask_all(peers, "reduce tag=99 type=10 op=0 count=" + std::to_string(count));
    expect_all(lines, "pcclSuccess");
    for (const Line& line : lines) EXPECT_EQ(line.number("right"), 1U) << line.whole;
  }
}

TEST(Mismatch, OfDescriptors) {
  LiveRun run;
  const auto peers = run.join(3);
  struct Case {
    const char* of_two;
    const char* of_one;
    std::vector<std::string> words;
  };
  const std::vector<Case> cases{
      {"count=50000 type=10 op=0", "count=50001 type=10 op=0", {"50000 x", "50001 x"}},
      {"count=10 type=10 op=0", "count=11 type=10 op=0", {"10 x", "11 x"}},
      {"count=10 type=10 op=0", "count=50000 type=10 op=0", {"10 x", "50000 x"}},
      {"count=50000 type=10 op=0", "count=50000 type=11 op=0", {"float32", "float64"}},
      {"count=50000 type=4 op=0", "count=50000 type=4 op=3", {"sum", "max"}},
      {"count=0 type=4 op=0", "count=100000 type=4 op=0", {"0 x", "100000 x"}},
  };
  for (const Case& one : cases)
    for (std::size_t odd = 0; odd < 3; ++odd) {
      for (std::size_t i = 0; i < 3; ++i)
        peers[i]->say(std::string("reduce tag=3 inplace=1 ") +
                      (i == odd ? one.of_one : one.of_two));
      for (const Line& line : answers(peers)) {
        EXPECT_EQ(line.result, "pcclInvalidArgument") << line.whole;
        EXPECT_EQ(line.number("intact"), 1U) << line.whole;
        expect_in_text(line, one.words);
      }
      expect_going_on(peers);
      if (HasFailure()) return;
    }
}

TEST(Mismatch, OfAlgorithms) {
  struct Pair {
    const char *one, *other;
    bool large_ones_match;
  };
  for (const Pair& pair : {Pair{"ring", "star", false}, Pair{"ring", "pairwise", false},
                           Pair{"star", "pairwise", true}}) {
    SCOPED_TRACE(std::string(pair.one) + " and " + pair.other);
    LiveRun run;
    const auto with = [&](const char* algorithm) {
      return &run.start({.environment = {{"PCCL_ALGORITHM", algorithm}}});
    };
    const std::vector<Peer*> peers{with(pair.one), with(pair.other)};
    for (Peer* peer : peers) peer->say("join world=2");
    expect_all(answers(peers), "pcclSuccess");
    const auto expect_mismatch = [&](const std::string& call, const std::string& of_one,
                                     const std::string& of_other) {
      for (const Line& line : ask_all(peers, call)) {
        EXPECT_EQ(line.result, "pcclInvalidArgument") << line.whole;
        EXPECT_EQ(line.number("intact"), 1U) << line.whole;
        expect_in_text(line, {of_one, of_other});
      }
    };
    expect_mismatch("reduce tag=3 inplace=1 count=10 type=10 op=0", pair.one, pair.other);
    const char* const large = "reduce tag=3 inplace=1 count=50000 type=10 op=0";
    if (pair.large_ones_match)  // what is too large for the star is exchanged all the same
      expect_all(ask_all(peers, large), "pcclSuccess");
    else
      expect_mismatch(large, "ring", "pairwise");
  }
}

TEST(Mismatch, OfCalls) {
  LiveRun run;
  const auto peers = run.join(3);
  for (int round = 0; round < 3; ++round) {
    peers[0]->say("update");
    peers[1]->say("pending");
    peers[2]->say(round == 1 ? "update" : "pending");
    for (const Line& line : answers(peers)) {
      EXPECT_EQ(line.result, "pcclInvalidUsage") << line.whole;
      expect_in_text(line, {"pcclUpdateTopology", "pcclArePeersPending"});
    }
    expect_all(ask_all(peers, "update"), "pcclSuccess");
    expect_going_on(peers);
  }
}

TEST(Mismatch, TagInFlight) {
  LiveRun run;
  const auto peers = run.join(2);
  for (Peer* peer : peers) peer->say("launch tag=5 count=9000 type=10 op=0 inplace=1");
  expect_all(answers(peers), "pcclSuccess");
  for (const Line& line : ask_all(peers, "launch tag=5 count=9000 type=10 op=0 inplace=1")) {
    EXPECT_EQ(line.result, "pcclInvalidArgument") << line.whole;
    expect_in_text(line, {"tag 5"});
  }
  for (const Line& line : ask_all(peers, "update")) {
    EXPECT_EQ(line.result, "pcclPendingAsyncOps") << line.whole;
    expect_in_text(line, {"tag 5"});
  }
  expect_all(ask_all(peers, "pending"), "pcclSuccess");
  for (const Line& line : ask_all(peers, "await tag=5")) {
    EXPECT_TRUE(line.ok()) << line.whole;
    EXPECT_EQ(line.number("right"), 1U) << line.whole;
  }
  expect_all(ask_all(peers, "await tag=5"), "pcclRankConnectionLost");
  expect_all(ask_all(peers, "update"), "pcclSuccess");
  expect_going_on(peers);
}

TEST(Mismatch, AbsurdArguments) {
  LiveRun run;
  const auto peers = run.join(2);
  for (const Line& line : ask_all(peers, "absurd"))
    EXPECT_EQ(line.number("refused"), line.number("tried")) << line.whole;
  expect_going_on(peers);
}

TEST(Mismatch, OneMoreThanTheLimitInFlight) {
  LiveRun run;
  const auto peers = run.join(2);
  peers[0]->say("flood");
  const Line flooded = peers[0]->event("flooded");
  EXPECT_EQ(flooded.number("launched"), 1024U) << flooded.whole;
  EXPECT_EQ(flooded.values.at("result"), "pcclInvalidUsage") << flooded.whole;
  expect_in_text(flooded, {"1024"});
  const Line other = peers[1]->ask("flood limit=1024");
  EXPECT_TRUE(other.ok()) << other.whole;
  EXPECT_EQ(other.number("succeeded"), 1024U) << other.whole;
  EXPECT_EQ(peers[0]->answer().number("succeeded"), 1024U);
  expect_going_on(peers);
}

}  // namespace
}  // namespace e2e
