// The shared state between real processes: who fetches what, and what a death in the middle does.
#include "e2e/run.hpp"

namespace e2e {
namespace {

class SharedState : public testing::Test {
 protected:
  // Everybody syncs; all succeed with the same bytes and revision.
  std::vector<Line> sync(const std::vector<Peer*>& all, const std::string& arguments) {
    const std::vector<Line> lines = ask_all(all, "sync " + arguments);
    expect_all(lines, "pcclSuccess");
    for (const Line& line : lines) {
      EXPECT_EQ(line.number("digest"), lines[0].number("digest")) << line.whole;
      EXPECT_EQ(line.number("revision"), lines[0].number("revision")) << line.whole;
    }
    return lines;
  }
  void fill(Peer* peer, std::uint64_t seed, const std::string& more = "") {
    EXPECT_TRUE(peer->ask("state seed=" + std::to_string(seed) + " " + more).ok());
  }

  // More peers join those who are there.
  std::vector<Peer*> join_more(const std::vector<Peer*>& accepted, std::size_t count,
                               const PeerOptions& options = {}) {
    const std::string world = std::to_string(accepted.size() + count);
    std::vector<Peer*> newcomers;
    for (std::size_t i = 0; i < count; ++i) newcomers.push_back(&run.start(options));
    for (Peer* peer : newcomers) peer->say("join world=" + world);
    expect_all(ask_all(accepted, "join admit world=" + world), "pcclSuccess");
    expect_all(answers(newcomers), "pcclSuccess");
    return newcomers;
  }

  LiveRun run;
};

TEST_F(SharedState, Alone) {
  auto peers = run.join(1);
  fill(peers[0], 1);
  const auto lines = sync(peers, "revision=0");
  EXPECT_EQ(lines[0].number("rx"), 0U);
  EXPECT_EQ(lines[0].number("tx"), 0U);
}

TEST_F(SharedState, ThePopularContentWins) {
  auto peers = run.join(3);
  fill(peers[0], 7), fill(peers[1], 8), fill(peers[2], 8);
  const std::uint64_t popular = peers[1]->ask("touch every=1000000").number("digest");
  peers[2]->ask("touch every=1000000");
  auto lines = sync(peers, "revision=0");
  EXPECT_EQ(lines[0].number("digest"), popular);
  EXPECT_GT(lines[0].number("rx"), 0U);
  EXPECT_EQ(lines[1].number("rx"), 0U);
  EXPECT_GT(lines[1].number("tx") + lines[2].number("tx"), 0U);
  lines = sync(peers, "revision=1");
  for (const Line& line : lines) EXPECT_EQ(line.number("rx") + line.number("tx"), 0U);
}

TEST_F(SharedState, ANewcomerTakesTheRevisionOfTheOthers) {
  auto peers = run.join(2);
  fill(peers[0], 1), fill(peers[1], 1);
  sync(peers, "revision=57");
  sync(peers, "revision=58");
  Peer* const newcomer = join_more(peers, 1).at(0);
  peers.push_back(newcomer);
  fill(newcomer, 2);
  peers[0]->say("sync revision=59");
  peers[1]->say("sync revision=59");
  newcomer->say("sync revision=0");
  const auto lines = answers(peers);
  expect_all(lines, "pcclSuccess");
  EXPECT_EQ(lines[2].number("revision"), 59U);
  EXPECT_EQ(lines[2].number("digest"), lines[0].number("digest"));
  EXPECT_GT(lines[2].number("rx"), 0U);
}

TEST_F(SharedState, OnlyBlocksThatDifferTravel) {
  auto peers = run.join(2);
  constexpr std::uint64_t bytes = 8 << 20;
  const std::string state = "tensors=3 bytes=" + std::to_string(bytes);
  fill(peers[0], 1, state), fill(peers[1], 1, state);
  peers[1]->ask("touch every=4194304");  // two bytes in each of two tensors
  const auto lines = sync(peers, "revision=0");
  // The tie goes to whoever joined first.
  const std::uint64_t received = lines[0].number("rx") + lines[1].number("rx");
  EXPECT_GT(received, 0U);
  EXPECT_LT(received, bytes / 2);
}

TEST_F(SharedState, WhatMayDifferStaysAsItIs) {
  auto peers = run.join(2);
  fill(peers[0], 1, "exempt=1"), fill(peers[1], 2, "exempt=1");
  const auto lines = sync(peers, "revision=0");
  EXPECT_NE(lines[0].number("own"), lines[1].number("own"));
}

TEST_F(SharedState, ManyTinyTensors) {
  auto peers = run.join(2);
  // Each seven bytes longer than the one before.
  fill(peers[0], 1, "tensors=2000 bytes=1"), fill(peers[1], 2, "tensors=2000 bytes=1");
  sync(peers, "revision=0");
}

TEST_F(SharedState, SendersAndAReceiver) {
  auto peers = run.join(3);
  for (Peer* peer : peers) fill(peer, peer->id());
  peers[0]->ask("state seed=9"), peers[1]->ask("state seed=9");
  peers[0]->say("sync revision=3 strategy=2");
  peers[1]->say("sync revision=3 strategy=2");
  peers[2]->say("sync revision=0 strategy=1");
  const auto lines = answers(peers);
  expect_all(lines, "pcclSuccess");
  EXPECT_EQ(lines[2].number("revision"), 3U);
  EXPECT_EQ(lines[2].number("digest"), lines[0].number("digest"));
}

TEST_F(SharedState, OtherEntriesAreRefusedByName) {
  auto peers = run.join(3);
  fill(peers[0], 1), fill(peers[1], 1), fill(peers[2], 1, "names=tenser");
  for (Peer* peer : peers) peer->say("sync revision=0");
  const auto lines = answers(peers);
  EXPECT_EQ(lines[0].result, "pcclSuccess") << lines[0].whole;
  EXPECT_EQ(lines[1].result, "pcclSuccess") << lines[1].whole;
  EXPECT_EQ(lines[2].result, "pcclInvalidUsage");
  EXPECT_NE(lines[2].text.find("entry 0 is \"tenser0\""), std::string::npos) << lines[2].whole;
}

TEST_F(SharedState, GroupsKeepTheirOwn) {
  auto one = run.join(2);
  auto other = join_more(one, 2, {.group = 5});
  for (Peer* peer : one) fill(peer, 1);
  for (Peer* peer : other) fill(peer, 2);
  sync(one, "revision=4");
  sync(one, "revision=5");
  sync(other, "revision=9");
}

TEST_F(SharedState, AnOpThatNobodyAwaited) {
  auto peers = run.join(2);
  for (Peer* peer : peers) fill(peer, 1);
  expect_all(ask_all(peers, "launch tag=1 count=10"), "pcclSuccess");
  expect_all(ask_all(peers, "sync revision=0"), "pcclPendingAsyncOps");
  expect_all(ask_all(peers, "await tag=1"), "pcclSuccess");
  sync(peers, "revision=0");
}

// Three hold a state that one fetches; one of them dies while it serves.
TEST_F(SharedState, AHolderDiesInTheMiddle) {
  auto peers = run.join(4);
  const std::string state = "tensors=4 bytes=50000000";
  for (Peer* peer : peers) fill(peer, peer == peers[3] ? 2 : 1, state);
  for (Peer* peer : peers) peer->say("sync revision=0");
  peers[1]->kill();
  std::vector<Peer*> rest{peers[0], peers[2], peers[3]};
  const auto lines = answers(rest);
  expect_all(lines, "pcclSuccess");
  EXPECT_EQ(lines[2].number("digest"), lines[0].number("digest"));
}

// The only holder dies: the others learn it with the same code, and can go on from what they have.
TEST_F(SharedState, TheOnlyHolderDies) {
  auto peers = run.join(3);
  const std::string state = "tensors=4 bytes=50000000";
  for (Peer* peer : peers) fill(peer, peer->id(), state);
  for (Peer* peer : peers) peer->say(peer == peers[0] ? "sync revision=5" : "sync revision=0");
  peers[0]->kill();
  std::vector<Peer*> rest{peers[1], peers[2]};
  const auto lines = answers(rest);
  // The death may come before the election, and then the others agree among themselves.
  EXPECT_EQ(lines[0].result, lines[1].result) << lines[0].whole << lines[1].whole;
  if (lines[0].result != "pcclSuccess") {
    EXPECT_EQ(lines[0].result, "pcclInvalidUsage");
    EXPECT_NE(lines[0].text.find("last holder"), std::string::npos) << lines[0].whole;
    for (Peer* peer : rest) fill(peer, 1, state);
    sync(rest, "revision=0");
  }
}

}  // namespace
}  // namespace e2e
