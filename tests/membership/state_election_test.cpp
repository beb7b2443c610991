// Which content of the shared state wins, by the rules of contract.md 1.10.
#include "membership/state_election.hpp"

#include <gtest/gtest.h>

namespace pccl::membership {
namespace {

Digest digest(std::uint8_t which) {
  Digest made;
  made.octets[0] = which;
  return made;
}

struct Election : testing::Test {
  // A vote of one more peer; peers are numbered from 0.
  StateVote& vote(std::uint64_t revision, std::uint8_t content,
                  SyncStrategy strategy = SyncStrategy::enforce_popular) {
    return votes.emplace_back(StateVote{peer(votes.size()),
                                        {.strategy = strategy,
                                         .revision = Revision{revision},
                                         .keys = digest(1),
                                         .content = digest(content)}});
  }
  static PeerId peer(std::size_t index) { return {7, index + 1}; }
  void last(std::uint64_t revision, std::uint8_t content) {
    history = {Revision{revision + 1}, digest(content)};
  }
  StateElection elect() { return elect_state(votes, history, accept_restored); }

  static std::vector<std::size_t> indices(const std::vector<PeerId>& peers) {
    std::vector<std::size_t> found;
    for (const PeerId& id : peers) found.push_back(id.low - 1);
    return found;
  }
  void expect_elected(std::uint64_t revision, std::uint8_t content,
                      const std::vector<std::size_t>& holders,
                      const std::vector<std::size_t>& fetchers,
                      const std::vector<std::size_t>& refused = {}) {
    const StateElection elected = elect();
    EXPECT_TRUE(elected.outcome.ok()) << elected.outcome.why;
    EXPECT_EQ(elected.revision.value, revision);
    EXPECT_EQ(elected.content, digest(content));
    EXPECT_EQ(indices(elected.holders), holders);
    EXPECT_EQ(indices(elected.fetchers), fetchers);
    expect_refused(elected, refused);
  }
  void expect_refused(const StateElection& elected, const std::vector<std::size_t>& refused) {
    std::vector<PeerId> out;
    for (const auto& [id, why] : elected.refused) {
      out.push_back(id);
      EXPECT_FALSE(why.empty());
    }
    EXPECT_EQ(indices(out), refused);
  }
  void expect_failure(const std::string& part_of_the_reason) {
    const StateElection elected = elect();
    EXPECT_EQ(elected.outcome.status, Status::invalid_usage);
    EXPECT_NE(elected.outcome.why.find(part_of_the_reason), std::string::npos)
        << elected.outcome.why;
  }

  std::vector<StateVote> votes;
  StateHistory history;
  bool accept_restored = false;
};

// ---- content

TEST_F(Election, AlonePeersKeepWhatTheyHave) {
  vote(0, 5);
  expect_elected(0, 5, {0}, {});
}

TEST_F(Election, TheContentOfMostWins) {
  vote(0, 5), vote(0, 6), vote(0, 6);
  expect_elected(0, 6, {1, 2}, {0});
}

TEST_F(Election, ATieGoesToTheSenior) {
  vote(0, 5), vote(0, 6), vote(0, 6), vote(0, 5);
  expect_elected(0, 5, {0, 3}, {1, 2});
}

TEST_F(Election, AMixtureIsNeverElected) {
  vote(0, 5).offer.whole = false, vote(0, 5).offer.whole = false, vote(0, 6);
  expect_elected(0, 6, {2}, {0, 1});
}

TEST_F(Election, AMixtureOfTheSameDigestIsNoHolder) {
  vote(0, 5).offer.whole = false, vote(0, 5);
  expect_elected(0, 5, {1}, {0});
}

// The sender died with the master: those who have received it are its holders now.
TEST_F(Election, WhatWasElectedInTheSameCallIsElectedAgain) {
  for (const int content : {5, 5, 6})
    vote(3, static_cast<std::uint8_t>(content)).offer.strategy = SyncStrategy::receive_only;
  votes[0].offer.elected = votes[1].offer.elected = true;
  expect_elected(3, 5, {0, 1}, {2});
}

TEST_F(Election, NobodyHoldsAWholeState) {
  vote(0, 5).offer.whole = false;
  expect_failure("no peer of the group holds a whole state");
}

// ---- revisions

TEST_F(Election, TheFirstSyncTakesARestoredRevision) {
  vote(0, 5), vote(57, 6), vote(0, 5);
  expect_elected(57, 6, {1}, {0, 2});
}

TEST_F(Election, OfSeveralRestoredRevisionsThePopularOne) {
  vote(60, 5), vote(57, 6), vote(57, 6), vote(0, 5);
  expect_elected(57, 6, {1, 2}, {3}, {0});
}

TEST_F(Election, OutdatedPeersHaveNoVote) {
  last(3, 9);
  vote(4, 5), vote(3, 9), vote(3, 9), vote(0, 7);
  expect_elected(4, 5, {0}, {1, 2, 3});
}

TEST_F(Election, ARevisionAheadOfTheNextIsRefused) {
  last(3, 9);
  vote(4, 5), vote(5, 6), vote(9, 6);
  expect_elected(4, 5, {0}, {}, {1, 2});
}

TEST_F(Election, AnEqualContentOfAnOlderRevisionNeedsNoTransfer) {
  last(3, 9);
  vote(4, 5), vote(0, 5);
  expect_elected(4, 5, {0, 1}, {});
}

TEST_F(Election, ASyncIsRepeatedForNewcomers) {
  last(3, 9);
  vote(3, 9), vote(0, 7);
  expect_elected(3, 9, {0}, {1});
}

TEST_F(Election, ARepeatedRevisionKeepsItsContentHoweverManyHaveAnother) {
  last(3, 9);
  vote(3, 8), vote(3, 8), vote(3, 9);
  expect_elected(3, 9, {2}, {0, 1});
}

TEST_F(Election, AChangedContentNeedsANewRevision) {
  last(3, 9);
  vote(3, 8), vote(3, 8);
  expect_failure("no peer has advanced its revision");
}

TEST_F(Election, TheLastHolderIsGone) {
  last(30, 9);
  vote(0, 8), vote(12, 7);
  expect_failure("--accept-restored-state");
  accept_restored = true;
  expect_elected(12, 7, {1}, {0});
  EXPECT_TRUE(elect().restored);
}

TEST_F(Election, RestoredPeersMustAgree) {
  last(30, 9);
  accept_restored = true;
  vote(12, 8), vote(13, 7);
  expect_failure("revision 31 is due");
}

TEST_F(Election, AcceptingRestoredStatesChangesNothingWhileSomebodyIsCurrent) {
  last(30, 9);
  accept_restored = true;
  vote(31, 8), vote(12, 7), vote(12, 7);
  expect_elected(31, 8, {0}, {1, 2});
}

// ---- strategies

TEST_F(Election, SendersAndReceivers) {
  last(3, 9);
  vote(4, 5, SyncStrategy::send_only), vote(4, 5, SyncStrategy::send_only);
  vote(0, 6, SyncStrategy::receive_only), vote(9, 7, SyncStrategy::receive_only);
  expect_elected(4, 5, {0, 1}, {2, 3});
}

TEST_F(Election, ReceiversHaveNoVote) {
  vote(0, 5, SyncStrategy::send_only), vote(0, 6, SyncStrategy::receive_only),
      vote(0, 6, SyncStrategy::receive_only);
  expect_elected(0, 5, {0}, {1, 2});
}

TEST_F(Election, ASenderThatLosesIsRefused) {
  vote(0, 5, SyncStrategy::send_only), vote(0, 6, SyncStrategy::send_only),
      vote(0, 6, SyncStrategy::send_only);
  expect_elected(0, 6, {1, 2}, {}, {0});
}

TEST_F(Election, ASenderThatIsOutdatedIsRefused) {
  last(3, 9);
  vote(4, 5, SyncStrategy::send_only), vote(3, 5, SyncStrategy::send_only);
  expect_elected(4, 5, {0}, {}, {1});
}

TEST_F(Election, OnlyReceivers) {
  vote(0, 5, SyncStrategy::receive_only), vote(0, 5, SyncStrategy::receive_only);
  expect_refused(elect(), {0, 1});
}

TEST_F(Election, TheOtherStrategiesDoNotMixWithEnforcing) {
  vote(0, 6, SyncStrategy::send_only), vote(0, 6, SyncStrategy::receive_only), vote(0, 5);
  expect_elected(0, 5, {2}, {}, {0, 1});
}

// ---- keys

TEST_F(Election, NewcomersWithOtherKeysDoNotOutvoteARun) {
  last(8, 3);
  vote(9, 6), vote(0, 7).offer.keys = digest(2), vote(0, 7).offer.keys = digest(2);
  expect_elected(9, 6, {0}, {}, {1, 2});
}

TEST_F(Election, NorWhenTheLastSyncIsRepeated) {
  last(8, 3);
  vote(0, 7).offer.keys = digest(2), vote(1, 7).offer.keys = digest(2), vote(8, 3);
  expect_elected(8, 3, {2}, {}, {0, 1});
}

TEST_F(Election, TheKeysOfMostCountWhenTheRunIsLost) {
  accept_restored = true;
  last(8, 3);
  vote(1, 6), vote(1, 7).offer.keys = digest(2), vote(1, 7).offer.keys = digest(2);
  expect_elected(1, 7, {1, 2}, {}, {0});
}

TEST_F(Election, TheEntriesOfMostCount) {
  vote(0, 6).offer.keys = digest(2);
  vote(0, 5), vote(0, 5);
  const StateElection elected = elect();
  EXPECT_TRUE(elected.keys_differ);
  expect_refused(elected, {0});
}

TEST_F(Election, OtherStrategiesAreRefusedBeforeEntriesAreCompared) {
  vote(0, 6, SyncStrategy::receive_only).offer.keys = digest(2);
  vote(0, 6, SyncStrategy::receive_only).offer.keys = digest(2);
  vote(0, 5);
  const StateElection elected = elect();
  EXPECT_FALSE(elected.keys_differ);
  expect_refused(elected, {0, 1});
}

}  // namespace
}  // namespace pccl::membership
