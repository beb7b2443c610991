// Which content of the shared state a group takes, who holds it already, and who may not take part:
// a pure function of what the members offer.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "wire/messages.hpp"

namespace pccl::membership {

// What a master remembers of a group's shared state between two syncs.
struct StateHistory {
  // The revision that the next sync is to offer: one more than the last. None: nothing was ever
  // synchronised under this master, and the first revision offered counts.
  std::optional<Revision> next;
  Digest last_content;  // of the revision before `next`
};

struct StateVote {
  PeerId peer;
  wire::SyncOffer offer;
};

struct StateElection {
  Outcome outcome;  // not ok: the sync fails on all who were not refused
  Revision revision;
  Digest content;
  std::vector<PeerId> holders;   // have the content
  std::vector<PeerId> fetchers;  // have another one
  // Not of one kind with the others, and removed from the run; the others go on without them.
  std::vector<std::pair<PeerId, std::string>> refused;
  bool restored = false;     // the history of revisions begins anew with this one
  bool keys_differ = false;  // some were refused for the names, types or sizes of their entries
};

// The votes are in the order of seniority, which decides ties. `accept_restored`: peers that agree
// among themselves on a revision that is not the next may go on from that.
StateElection elect_state(const std::vector<StateVote>& votes, const StateHistory& history,
                          bool accept_restored);

}  // namespace pccl::membership
