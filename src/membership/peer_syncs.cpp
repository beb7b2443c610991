// A sync of the shared state as a peer sees it: an offer, perhaps a transfer, and one result.
#include <fmt/format.h>

#include <utility>

#include "base/mutant.hpp"
#include "membership/peer_machine.hpp"

namespace pccl::membership {

void PeerMachine::on(const SyncRequested& event) {
  if (std::optional<Outcome> refused = may_not_call()) {
    effects_.push_back(CompleteSync{std::move(*refused), {}});
    return;
  }
  call_ = wire::Call{next_call_, wire::CallKind::synchronize};
  next_call_ = next_call_.next();
  sync_ = Sync{event.offer, std::nullopt, false};
  sync_->offer.call = call_->call;
  send(sync_->offer);
}

void PeerMachine::on_sync_elected(const wire::SyncElected& elected) {
  if (!sync_ || sync_->offer.call != elected.call) return;
  if (sync_->elected && sync_->elected->content != elected.content)
    return leave(Status::master_lost, "protocol error: two contents elected in one sync");
  if (!sync_->elected)
    sync_->holds_elected = sync_->offer.whole && sync_->offer.content == elected.content;
  sync_->elected = elected;
  effects_.push_back(MoveState{self_, elected, !sync_->holds_elected});
}

void PeerMachine::on(const StateFetched& event) {
  if (!sync_ || sync_->offer.call != event.call) return;
  if (event.outcome.ok()) sync_->holds_elected = true;
  if (sync_->elected)  // else a master that was restarted has the offer
    send(
        wire::SyncDone{event.call, sync_->elected->token, event.outcome.status, event.outcome.why});
}

// To a master that was restarted, and elects anew: what has become of the state meanwhile.
wire::SyncOffer PeerMachine::offer_again() {
  if (const auto elected = std::exchange(sync_->elected, std::nullopt)) {
    sync_->offer.whole = sync_->holds_elected;
    sync_->offer.elected = sync_->holds_elected;
    if (sync_->holds_elected) {
      sync_->offer.content = elected->content;
      sync_->offer.revision = elected->revision;
    }
  }
  return sync_->offer;
}

void PeerMachine::on_state_wanted(const wire::StateWanted& wanted) {
  if (sync_ && sync_->offer.call == wanted.call)
    effects_.push_back(DescribeState{wanted.call, wanted.from});
}

void PeerMachine::on_sync_result(const wire::SyncResult& result) {
  if (!sync_ || sync_->offer.call != result.call) return;
  // Nobody fetched: the offer was elected as it is.
  const bool holds = sync_->elected
                         ? sync_->holds_elected && sync_->elected->content == result.content
                         : sync_->offer.whole && sync_->offer.content == result.content;
  if (result.status == Status::ok && !holds)
    return leave(Status::master_lost,
                 "protocol error: a sync cannot have ended well before its content is here");
  call_.reset();
  sync_.reset();
  if (result.round > sync_result_.round) sync_result_ = result;
  // All of the group hear this in the same epoch. Who was late may have seen fewer changes of the
  // membership than the others, and would launch in another one than they.
  if (!mutant(Mutant::result_of_a_sync_unseen)) see_newest();
  effects_.push_back(CompleteSync{{result.status, result.why}, result.revision});
}

}  // namespace pccl::membership
