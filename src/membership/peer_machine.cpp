#include "membership/peer_machine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/mutant.hpp"

namespace pccl::membership {

namespace {

// Who calls sees the new membership when it returns.
bool changes_topology(wire::CallKind call) {
  return call == wire::CallKind::update_topology || call == wire::CallKind::optimize_topology;
}

}  // namespace

PeerEffects PeerMachine::step(const PeerEvent& event, Instant now) {
  now_ = now;
  std::visit([this](const auto& what) { on(what); }, event);
  if (!next_tick_) {
    next_tick_ = now_ + heartbeat_interval_;
    effects_.push_back(PeerWakeAt{*next_tick_});
  }
  return std::exchange(effects_, {});
}

void PeerMachine::on(const ConnectRequested& event) {
  if (standing_ != Standing::unconnected) return;
  standing_ = Standing::greeting;
  p2p_port_ = event.p2p_port;
  state_port_ = event.state_port;
  heard_ = now_;
}

void PeerMachine::on(const MasterReached&) {
  if (away_) return introduce_again();
  if (standing_ != Standing::greeting) return;
  heard_ = now_;
  term_ = {};
  send(hello());
}

void PeerMachine::on(const MasterFrame& event) {
  if (standing_ == Standing::unconnected || standing_ == Standing::gone) return;
  if (away_) return on_answer(event.frame);
  heard_ = now_;
  const auto* const welcome = std::get_if<wire::Welcome>(&event.frame.message);
  if (standing_ == Standing::greeting && welcome != nullptr) {
    self_ = welcome->peer;
    standing_ = Standing::pending;
    return obey(event.frame.term, *welcome);
  }
  // A frame of another term comes from a master that this peer does not obey.
  if (standing_ != Standing::greeting && event.frame.term != term_) return;
  on_message(event.frame.message);
}

void PeerMachine::obey(Term term, const wire::Welcome& welcome) {
  using namespace std::chrono_literals;
  term_ = term;
  heard_ = now_;
  heartbeat_interval_ =
      std::clamp<Duration>(std::chrono::milliseconds(welcome.peer_timeout_ms), 60ms, 1h) / 6;
  next_tick_.reset();  // step() sets the new rhythm
}

void PeerMachine::on_message(const wire::Message& message) {
  if (const auto* refused = std::get_if<wire::Refused>(&message))
    return leave(Status::master_lost, "the master refuses: " + refused->why);
  if (const auto* removed = std::get_if<wire::Removed>(&message))
    return leave(Status::removed, removed->why);
  if (standing_ == Standing::greeting)
    return leave(Status::master_lost, "the master does not keep the protocol");
  if (const auto* beat = std::get_if<wire::Heartbeat>(&message)) return on_heartbeat(*beat);
  if (const auto* proposed = std::get_if<wire::EpochProposed>(&message))
    return on_proposed(*proposed);
  if (const auto* installed = std::get_if<wire::EpochInstalled>(&message))
    return on_installed(*installed);
  if (const auto* verdict = std::get_if<wire::OpVerdict>(&message)) return on_verdict(*verdict);
  if (const auto* result = std::get_if<wire::CallResult>(&message)) return on_call_result(*result);
  if (const auto* elected = std::get_if<wire::SyncElected>(&message))
    return on_sync_elected(*elected);
  if (const auto* wanted = std::get_if<wire::StateWanted>(&message))
    return on_state_wanted(*wanted);
  if (const auto* result = std::get_if<wire::SyncResult>(&message)) return on_sync_result(*result);
  if (const auto* wanted = std::get_if<wire::PathWanted>(&message)) return on_path_wanted(*wanted);
  leave(Status::master_lost, fmt::format("protocol error: a master does not send {} messages",
                                         wire::name_of(wire::kind_of(message))));
}

void PeerMachine::on(const MasterGone& event) {
  if (standing_ == Standing::gone || standing_ == Standing::unconnected) return;
  if (standing_ == Standing::greeting && !away_)
    return leave(Status::master_lost, "master lost: " + event.why);
  lose_master(event.why);
}

void PeerMachine::on(const ConnectGivenUp& event) {
  if (standing_ == Standing::greeting || standing_ == Standing::pending)
    leave(Status::timed_out, event.why);
}

void PeerMachine::on(const LeaveRequested& requested) {
  if (requested.on_purpose && (standing_ == Standing::pending || standing_ == Standing::accepted))
    send(wire::Leave{});
  if (standing_ != Standing::gone) leave(Status::interrupted, requested.why);
}

std::optional<Outcome> PeerMachine::may_not_call() const {
  if (standing_ == Standing::gone) return gone_;
  if (standing_ != Standing::accepted) return Outcome{Status::invalid_usage, "not connected"};
  if (call_) return Outcome{Status::invalid_usage, "another call is waiting on this communicator"};
  return std::nullopt;
}

void PeerMachine::on(const CallRequested& event) {
  if (std::optional<Outcome> refused = may_not_call()) {
    effects_.push_back(CompleteCall{std::move(*refused)});
    return;
  }
  if (event.what == wire::CallKind::optimize_topology && seen_.counts.global_world_size < 2) {
    effects_.push_back(CompleteCall{{Status::invalid_usage, "there is no other peer in the run"}});
    return;
  }
  call_ = wire::Call{next_call_, event.what};
  next_call_ = next_call_.next();
  send(*call_);
}

void PeerMachine::on_call_result(const wire::CallResult& result) {
  if (!call_ || call_->call != result.call || sync_) return;
  const bool updated = changes_topology(call_->what) && result.status == Status::ok;
  stop_measuring();
  call_.reset();
  answer_ = result;
  if (updated) {
    ring_.counts = result.counts;
    see_newest();
  }
  effects_.push_back(CompleteCall{{result.status, result.why}, result.peers_pending});
}

void PeerMachine::on_proposed(const wire::EpochProposed& proposed) {
  Ring ring{proposed.epoch, proposed.ring, proposed.counts, proposed.why,
            std::chrono::microseconds(proposed.rtt_us)};
  const bool mine = std::any_of(ring.members.begin(), ring.members.end(),
                                [this](const auto& member) { return member.peer == self_; });
  if (!mine) return leave(Status::master_lost, "protocol error: proposed a ring without this peer");
  const Epoch newest = proposed_ ? proposed_->epoch : ring_.epoch;
  if (ring.epoch <= newest)
    return leave(Status::master_lost,
                 fmt::format("protocol error: proposed epoch {} after epoch {}", ring.epoch.value,
                             newest.value));
  if (proposed.reason == wire::EpochReason::admission) {
    relink(ring, proposed.token);
    proposed_ = std::move(ring);
    return;
  }
  proposed_.reset();
  const wire::Token token = proposed.token;
  enter(std::move(ring));
  relink(ring_, token);
  keep_links_of(ring_);
}

void PeerMachine::on_installed(const wire::EpochInstalled& installed) {
  if (proposed_ && proposed_->epoch == installed.epoch) {
    proposed_->rtt = std::chrono::microseconds(installed.rtt_us);
    enter(*std::exchange(proposed_, std::nullopt));
    keep_links_of(ring_);
  }
  if (ring_.epoch != installed.epoch || ring_.members.empty())
    return leave(Status::master_lost,
                 fmt::format("protocol error: installed epoch {}, which was never proposed",
                             installed.epoch.value));
  ring_.counts = installed.counts;
  run_ = installed.run;
  // The round that has let somebody in is over for all: this peer may be the only one that hears of
  // it before the master is gone.
  const wire::CallResult answer{
      .call = call_ ? call_->call : CallId{}, .round = installed.round, .counts = installed.counts};
  if (standing_ == Standing::pending) {
    standing_ = Standing::accepted;
    answer_ = answer;
    sync_result_ = {.round = installed.syncs};
    see_newest();
    effects_.push_back(CompleteConnect{});
  } else if (call_ && changes_topology(call_->what) && installed.round > answer_.round) {
    on_call_result(answer);
  }
}

// From here on the older epoch is history: its open ops are void.
void PeerMachine::enter(Ring ring) {
  if (!mutant(Mutant::ops_survive_epoch)) end_all_ops(Status::peer_lost, ring.why);
  early_.clear();
  next_launch_.clear();
  newest_verdict_ = {};
  unreported_verdicts_ = 0;
  ring_ = std::move(ring);
  effects_.push_back(EnterEpoch{ring_.epoch});
}

void PeerMachine::relink(const Ring& ring, const wire::Token& token) {
  const std::size_t world = ring.members.size();
  failed_links_.clear();
  if (world == 1) {
    return on(LinksStand{ring.epoch});
  }
  const std::size_t rank = rank_in(ring);
  effects_.push_back(Relink{ring.epoch, token, self_, ring.members[(rank + 1) % world],
                            ring.members[(rank + world - 1) % world].peer});
}

void PeerMachine::keep_links_of(const Ring& ring) {
  const std::size_t world = ring.members.size(), rank = rank_in(ring);
  if (world == 1) return effects_.push_back(KeepLinks{});
  effects_.push_back(KeepLinks{ring.members[(rank + 1) % world].peer,
                               ring.members[(rank + world - 1) % world].peer});
}

void PeerMachine::on(const LinksStand& event) {
  if (standing_ != Standing::pending && standing_ != Standing::accepted) return;
  standing_links_ = event;
  send(links_ready());
}

wire::LinksReady PeerMachine::links_ready() const {
  return {standing_links_->epoch, wire::microseconds(standing_links_->rtt)};
}

void PeerMachine::on(const LinkBroken& event) {
  if (standing_ != Standing::pending && standing_ != Standing::accepted) return;
  const Ring* const ring = proposed_ && proposed_->epoch == event.epoch ? &*proposed_
                           : ring_.epoch == event.epoch                 ? &ring_
                                                                        : nullptr;
  if (ring == nullptr || ring->members.size() < 2) return;
  const std::size_t world = ring->members.size(), rank = rank_in(*ring);
  const PeerId neighbour = ring->members[(rank + (event.outgoing ? 1 : world - 1)) % world].peer;
  const wire::LinkFailed failed{event.epoch, neighbour, event.outgoing, event.fault, event.why};
  failed_links_[event.outgoing] = failed;
  if (standing_links_ && standing_links_->epoch == event.epoch) standing_links_.reset();
  send(failed);
}

void PeerMachine::on_heartbeat(const wire::Heartbeat& beat) {
  forget_verdicts(beat.epoch, beat.verdict);
  if (beat.probe) send(heartbeat(true));
}

void PeerMachine::on(const PeerTimePassed&) {
  if (!next_tick_ || now_ < *next_tick_) return;
  const bool overslept = now_ > *next_tick_ + 2 * heartbeat_interval_;
  next_tick_ = now_ + heartbeat_interval_;
  effects_.push_back(PeerWakeAt{*next_tick_});
  if (standing_ != Standing::pending && standing_ != Standing::accepted &&
      standing_ != Standing::greeting)
    return;
  if (away_) {
    if (gave_up_on_master(overslept))
      leave(Status::master_lost, fmt::format("the master has been away for {:.1f} s: {}",
                                             seconds(now_ - away_->since), away_->why));
    return;
  }
  if (overslept) heard_ = now_;
  if (now_ - heard_ > settings_.master_timeout)
    return leave(Status::master_lost,
                 fmt::format("the master has been silent for {:.1f} s", seconds(now_ - heard_)));
  if (standing_ != Standing::greeting) send(heartbeat(false));
}

wire::Heartbeat PeerMachine::heartbeat(bool probe) const {
  return {probe, ring_.epoch, newest_verdict_};
}

// The end of this machine's part in the run; before admission, a connect that may be repeated.
void PeerMachine::leave(Status status, const std::string& why) {
  const bool connecting = standing_ == Standing::greeting || standing_ == Standing::pending;
  standing_ = connecting ? Standing::unconnected : Standing::gone;
  gone_ = {status, why};
  proposed_.reset();
  away_.reset();
  end_all_ops(status, why);
  stop_measuring();
  effects_.push_back(KeepLinks{});
  effects_.push_back(CloseMaster{});
  if (connecting) effects_.push_back(CompleteConnect{gone_});
  if (!call_) {
  } else if (std::exchange(sync_, std::nullopt)) {
    effects_.push_back(CompleteSync{gone_, {}});
  } else {
    effects_.push_back(CompleteCall{gone_});
  }
  call_.reset();
  effects_.push_back(PeerNote{fmt::format("{}: {}", name_of(status), why)});
}

Outcome PeerMachine::unusable() const {
  return {Status::invalid_usage, fmt::format("{}: {}", name_of(gone_.status), gone_.why)};
}

void PeerMachine::see_newest() {
  seen_ = {ring_.epoch, static_cast<std::uint32_t>(ring_.members.size()), ring_.counts};
}

std::size_t PeerMachine::rank_in(const Ring& ring) const {
  const auto at = std::find_if(ring.members.begin(), ring.members.end(),
                               [this](const auto& member) { return member.peer == self_; });
  return static_cast<std::size_t>(at - ring.members.begin());
}

}  // namespace pccl::membership
