#include "membership/state_election.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace pccl::membership {

namespace {

using Votes = std::vector<StateVote>;

// The value that most votes have; of several, the one that was named first.
template <typename Value>
Value most_popular(const Votes& votes, const Value wire::SyncOffer::*field) {
  const auto popularity = [&](const StateVote& vote) {
    return std::count_if(votes.begin(), votes.end(), [&](const StateVote& other) {
      return other.offer.*field == vote.offer.*field;
    });
  };
  return std::max_element(
             votes.begin(), votes.end(),
             [&](const StateVote& a, const StateVote& b) { return popularity(a) < popularity(b); })
             ->offer.*
         field;
}

class Counting {
 public:
  Counting(const Votes& votes, const StateHistory& history, bool accept_restored)
      : votes_(votes), history_(history), accept_restored_(accept_restored) {}

  StateElection result() {
    refuse_other_strategies();
    refuse_other_keys();
    Votes candidates = all_who_may_be_elected();
    if (candidates.empty()) return nothing_to_elect();
    if (!choose_revision(candidates)) return result_;
    refuse_newer();
    std::erase_if(candidates, [this](const StateVote& vote) {
      return vote.offer.revision != result_.revision ||
             (repeats_last_ && vote.offer.content != history_.last_content);
    });
    result_.content = most_popular(candidates, &wire::SyncOffer::content);
    refuse_losing_senders();
    for (const StateVote& vote : votes_)
      (vote.offer.whole && vote.offer.content == result_.content ? result_.holders
                                                                 : result_.fetchers)
          .push_back(vote.peer);
    return result_;
  }

 private:
  template <typename Condition, typename Reason>
  void refuse_if(Condition condition, Reason reason) {
    std::erase_if(votes_, [&](const StateVote& vote) {
      if (!condition(vote)) return false;
      result_.refused.emplace_back(vote.peer, reason(vote));
      return true;
    });
  }

  void refuse_other_strategies() {
    const auto enforces = [](const StateVote& vote) {
      return vote.offer.strategy == SyncStrategy::enforce_popular;
    };
    if (std::none_of(votes_.begin(), votes_.end(), enforces)) return;
    refuse_if([&](const StateVote& vote) { return !enforces(vote); },
              [](const StateVote&) {
                return std::string(
                    "it asked to only send or only receive the shared state, while others enforce "
                    "the popular one; these do not mix in one sync");
              });
  }

  void refuse_other_keys() {
    const Digest keys = most_popular(who_was_in_the_last_sync(), &wire::SyncOffer::keys);
    refuse_if([&](const StateVote& vote) { return vote.offer.keys != keys; },
              [&](const StateVote&) {
                result_.keys_differ = true;
                return std::string("its shared state is made of other entries than the group's");
              });
  }

  // However many newcomers of another kind come, they do not take the run over. When nobody was,
  // all count.
  Votes who_was_in_the_last_sync() const {
    if (!history_.next) return votes_;
    Votes due, as_before;
    for (const StateVote& vote : votes_) {
      if (vote.offer.revision == *history_.next) due.push_back(vote);
      if (vote.offer.revision.next() == *history_.next &&
          vote.offer.content == history_.last_content)
        as_before.push_back(vote);
    }
    if (!due.empty()) return due;
    return as_before.empty() ? votes_ : as_before;
  }

  Votes all_who_may_be_elected() const {
    Votes candidates;
    std::copy_if(votes_.begin(), votes_.end(), std::back_inserter(candidates),
                 [](const StateVote& vote) {
                   return vote.offer.whole &&
                          (vote.offer.elected || vote.offer.strategy != SyncStrategy::receive_only);
                 });
    return candidates;
  }

  StateElection nothing_to_elect() {
    const bool all_receive = std::all_of(votes_.begin(), votes_.end(), [](const StateVote& vote) {
      return vote.offer.strategy == SyncStrategy::receive_only;
    });
    if (all_receive)
      refuse_if([](const StateVote&) { return true; },
                [](const StateVote&) {
                  return std::string(
                      "every peer of the group asked to only receive the shared state: there is "
                      "nobody to receive it from");
                });
    return fail(
        "no peer of the group holds a whole state: each has parts of one that it was "
        "fetching when the last holder was lost");
  }

  // False when no revision can count; the result says why.
  bool choose_revision(const Votes& candidates) {
    const auto someone_offers = [&](Revision revision) {
      return std::any_of(candidates.begin(), candidates.end(),
                         [&](const StateVote& vote) { return vote.offer.revision == revision; });
    };
    if (!history_.next) {
      result_.revision = first_revision(candidates);
      return true;
    }
    const Revision next = *history_.next;
    result_.revision = next;
    if (someone_offers(next)) return true;
    if (next.value > 0 && content_of_last_sync_is_there(candidates)) {
      result_.revision = Revision{next.value - 1};
      repeats_last_ = true;
      return true;
    }
    if (accept_restored_ && agree_on_a_revision(candidates)) {
      result_.restored = true;
      result_.revision = first_revision(candidates);
      return true;
    }
    fail(why_nothing_counts(candidates));
    return false;
  }

  // The popular one of those who have made a step already; zero when nobody has.
  static Revision first_revision(const Votes& candidates) {
    Votes advanced;
    std::copy_if(candidates.begin(), candidates.end(), std::back_inserter(advanced),
                 [](const StateVote& vote) { return vote.offer.revision.value > 0; });
    return advanced.empty() ? Revision{} : most_popular(advanced, &wire::SyncOffer::revision);
  }

  // Nobody has advanced: the sync before is repeated, for newcomers, as long as its content stands.
  bool content_of_last_sync_is_there(const Votes& candidates) const {
    return std::any_of(candidates.begin(), candidates.end(), [&](const StateVote& vote) {
      return vote.offer.revision.next() == *history_.next &&
             vote.offer.content == history_.last_content;
    });
  }

  static bool agree_on_a_revision(const Votes& candidates) {
    const Revision first = first_revision(candidates);
    return std::all_of(candidates.begin(), candidates.end(), [&](const StateVote& vote) {
      return vote.offer.revision.value == 0 || vote.offer.revision == first;
    });
  }

  std::string why_nothing_counts(const Votes& candidates) const {
    const Revision next = *history_.next;
    const auto highest = std::max_element(candidates.begin(), candidates.end(),
                                          [](const StateVote& a, const StateVote& b) {
                                            return a.offer.revision < b.offer.revision;
                                          })
                             ->offer.revision;
    if (highest.next() == next)
      return fmt::format(
          "the content has changed since revision {} was synchronised, and no peer has advanced "
          "its revision: add one to it before the next sync",
          highest.value);
    return fmt::format(
        "revision {} is due, and the highest offered is {}; its last holders are gone. A master "
        "started with --accept-restored-state lets peers that agree go on from another revision",
        next.value, highest.value);
  }

  void refuse_newer() {
    refuse_if(
        [this](const StateVote& vote) {
          return vote.offer.strategy != SyncStrategy::receive_only &&
                 vote.offer.revision > result_.revision;
        },
        [this](const StateVote& vote) {
          return fmt::format("it offered revision {} of the shared state when {} was due",
                             vote.offer.revision.value, result_.revision.value);
        });
  }

  void refuse_losing_senders() {
    refuse_if(
        [this](const StateVote& vote) {
          return vote.offer.strategy == SyncStrategy::send_only &&
                 (!vote.offer.whole || vote.offer.content != result_.content ||
                  vote.offer.revision != result_.revision);
        },
        [this](const StateVote& vote) {
          if (vote.offer.revision != result_.revision)
            return fmt::format(
                "it asked to only send the shared state, and its revision {} is behind {}",
                vote.offer.revision.value, result_.revision.value);
          return std::string(
              "it asked to only send the shared state, and another content was elected");
        });
  }

  StateElection fail(std::string why) {
    result_.outcome = {Status::invalid_usage, std::move(why)};
    return result_;
  }

  Votes votes_;
  const StateHistory& history_;
  bool accept_restored_;
  bool repeats_last_ = false;  // one revision has one content, now and then
  StateElection result_;
};

}  // namespace

StateElection elect_state(const std::vector<StateVote>& votes, const StateHistory& history,
                          bool accept_restored) {
  return Counting(votes, history, accept_restored).result();
}

}  // namespace pccl::membership
