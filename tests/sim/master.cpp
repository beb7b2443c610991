#include "sim/master.hpp"

#include "sim/world.hpp"

namespace pccl::sim {

using namespace membership;

namespace {
Term next_term(Term term) {  // further than the epochs of a life can get
  return Term{term.value + 1'000'000};
}
}  // namespace

MasterHost::MasterHost(World& world) : Process(world.timeline), world_(world) {
  machine_.emplace(MasterSettings{
      .term = term_ = next_term(term_),
      .accept_restored_state = true,  // else a group that loses its last holder is stuck
      .random = [&world] { return world.rng.next(); }});
}

void MasterHost::kill() {
  world_.trace.print("fault   kill the master");
  world_.trace.mix("kill master");
  die();
  controls_.clear();
  registered_.clear();
  knows_nothing_ = true;
  world_.ledger.master_died();
  world_.close_controls_of_master();
}

void MasterHost::start() {
  world_.trace.print("fault   start the master");
  world_.trace.mix("start master");
  begin_again();
  // Newcomers would get in at once: nobody tells this master that there is a run.
  machine_.emplace(MasterSettings{.term = term_ = next_term(term_),
                                  .accept_restored_state = true,
                                  .grace = std::chrono::seconds(1),
                                  .recollection = state_file_,
                                  .random = [this] { return world_.rng.next(); }});
  step(TimePassed{});
}

// Whom the machine does not know when it has a run again is out of it.
void MasterHost::take_over() {
  if (!knows_nothing_ || machine_->resuming() || machine_->groups().empty()) return;
  knows_nothing_ = false;
  std::set<PeerId> members;
  for (const auto& [group, view] : machine_->groups())
    members.insert(view.ring.begin(), view.ring.end());
  for (const auto& peer : world_.peers())
    PCCL_REQUIRE(!peer->blamed().empty() || members.contains(peer->id()) ||
                     !world_.ledger.accepted(peer->id()) ||
                     peer->machine().standing() != PeerMachine::Standing::accepted,
                 "Nobody is removed without cause", "{} is not in the run of the new master",
                 peer->name());
  // Also those who were let in and have not heard of it: they are pending again, under another
  // name.
  for (const PeerId id : world_.ledger.accepted_peers())
    if (!members.contains(id)) world_.ledger.removed(id);
  world_.ledger.master_took_over();
}

void MasterHost::opened(Control& control) {
  controls_[control.id()] = &control;
  step(ConnectionOpened{control.id(), control.peer().p2p().address});
}

void MasterHost::received(Control& control, wire::Frame frame) {
  heard(control, frame.message);
  step(FrameReceived{control.id(), std::move(frame)});
}

void MasterHost::closed(Control& control, const std::string& why) {
  step(ConnectionClosed{control.id(), why});
  controls_.erase(control.id());
}

void MasterHost::step(const MasterEvent& event) {
  MasterEffects effects = machine_->step(event, world_.timeline.now());
  take_over();
  if (const auto recollection = machine_->take_recollection();
      recollection && world_.options.master_has_state_file)
    state_file_ = recollection_of(to_text(*recollection));
  for (MasterEffect& effect : effects) carry_out(effect);
  if (!knows_nothing_) world_.ledger.master_stepped(machine_->counts());
}

void MasterHost::carry_out(MasterEffect& effect) {
  if (auto* const send = std::get_if<Send>(&effect)) {
    const auto found = controls_.find(send->connection);
    if (found == controls_.end()) return;
    sent(*found->second, send->message);
    found->second->send_down({machine_->term(), std::move(send->message)});
  } else if (const auto* const close = std::get_if<Close>(&effect)) {
    const auto found = controls_.find(close->connection);
    if (found == controls_.end()) return;
    Control& control = *found->second;
    controls_.erase(found);
    closing(control);
    control.close_at_master(false);
  } else if (const auto* const wake = std::get_if<WakeAt>(&effect)) {
    later_at(wake->at, [this, timer = ++timer_] {
      if (timer == timer_) step(TimePassed{});
    });
  } else if (auto* const solve = std::get_if<SolveRings>(&effect)) {
    RingsSolved solved{solve->question, {}};
    for (const auto& [group, qualities] : solve->groups)
      solved.rings[group] = plan::best_ring(qualities);
    later(world_.between(std::chrono::microseconds(10), std::chrono::milliseconds(50)),
          [this, solved = std::move(solved)] { step(solved); });
  } else {
    const std::string& text = std::get<Note>(effect).text;
    if (text.starts_with("removes ")) removal_ = text;
    if (text.starts_with("accepts the restored ")) world_.ledger.history_begins_anew();
    world_.trace.print("master  {}", text);
  }
}

// A peer that lives and is reachable is not removed.
void MasterHost::closing(Control& control) {
  world_.trace.mix("close", control.id().value);
  const auto found = registered_.find(control.id());
  if (found == registered_.end()) return;
  world_.ledger.removed(found->second);
  registered_.erase(found);
  PCCL_REQUIRE(!control.peer().blamed().empty(), "Nobody is removed without cause",
               "{}: the master {}", control.peer().name(), removal_);
}

void MasterHost::sent(const Control& control, const wire::Message& message) {
  world_.trace.mix("sent", control.id().value, static_cast<int>(wire::kind_of(message)));
  if (world_.trace.printing() && wire::kind_of(message) != wire::Kind::heartbeat)
    world_.trace.print("master  -> {}: {}", control.peer().name(),
                       wire::name_of(wire::kind_of(message)));
  Ledger& ledger = world_.ledger;
  if (const auto* welcome = std::get_if<wire::Welcome>(&message)) {
    registered_[control.id()] = welcome->peer;
    return ledger.registered(welcome->peer, control.peer().options().group, control.peer().name());
  }
  const auto found = registered_.find(control.id());
  if (found == registered_.end()) {
    PCCL_REQUIRE(
        !std::holds_alternative<wire::Removed>(message) || !control.peer().blamed().empty(),
        "Nobody is removed without cause", "{} comes back and is sent away: {}",
        control.peer().name(), std::get<wire::Removed>(message).why);
    return;
  }
  const PeerId to = found->second;
  if (const auto* proposed = std::get_if<wire::EpochProposed>(&message))
    ledger.proposed(to, *proposed);
  if (const auto* installed = std::get_if<wire::EpochInstalled>(&message))
    ledger.installed(to, *installed);
  if (const auto* verdict = std::get_if<wire::OpVerdict>(&message)) ledger.decided(to, *verdict);
  if (const auto* result = std::get_if<wire::CallResult>(&message)) ledger.answered(to, *result);
  if (const auto* result = std::get_if<wire::SyncResult>(&message)) ledger.sync_ended(to, *result);
  if (const auto* beat = std::get_if<wire::Heartbeat>(&message)) ledger.watermark(to, *beat);
}

void MasterHost::heard(const Control& control, const wire::Message& message) {
  world_.trace.mix("heard", control.id().value, static_cast<int>(wire::kind_of(message)));
  if (world_.trace.printing() && wire::kind_of(message) != wire::Kind::heartbeat)
    world_.trace.print("master  <- {}: {}", control.peer().name(),
                       wire::name_of(wire::kind_of(message)));
  const auto found = registered_.find(control.id());
  if (found == registered_.end()) return;
  if (const auto* ready = std::get_if<wire::LinksReady>(&message))
    world_.ledger.links_ready(found->second, ready->epoch);
  if (std::holds_alternative<wire::Call>(message)) world_.ledger.called(found->second);
  if (std::holds_alternative<wire::SyncOffer>(message)) world_.ledger.offered(found->second);
}

}  // namespace pccl::sim
