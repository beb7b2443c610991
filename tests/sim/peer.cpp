#include "sim/peer.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "sim/world.hpp"

namespace pccl::sim {

using namespace std::chrono_literals;
using namespace membership;

namespace {
constexpr std::uint16_t first_port = 48150;
constexpr Duration buffers_watched = 2s;  // after the end of their op
constexpr Duration transfer_patience = 6s;
constexpr Duration transfer_check_interval = 100ms;
constexpr AlgorithmWish algorithms{
    .star_up_to = 4096};  // so that scenarios of small tensors move them in rings, too
// So small that what they move needs credit.
constexpr collective::EagerBudget eager{.of_op = 64 << 10, .of_link = 128 << 10};
}  // namespace

SimPeer::SimPeer(World& world, int slot, PeerOptions options)
    : Process(world.timeline),
      world_(world),
      slot_(slot),
      options_(std::move(options)),
      name_(fmt::format("#{}", slot)),
      core_(std::make_unique<node::PeerCore>(PeerSettings{.group = options_.group}, *this,
                                             algorithms, eager)),
      door_(world, *this),
      state_door_(world, *this),
      measuring_(world, *this) {
  if (options_.group != Group{}) name_ += fmt::format("/{}", options_.group.value);
}

SimPeer::~SimPeer() {
  script_ = {};
  ops_.clear();  // they hold blocks of the core's pools
}

Endpoint SimPeer::p2p() const {
  Endpoint endpoint;
  endpoint.address.octets = {10, 0, 0, static_cast<std::uint8_t>(slot_)};
  endpoint.port = static_cast<std::uint16_t>(first_port + slot_);
  return endpoint;
}

void SimPeer::start() {
  later(world_.between(0us, 100us), [this] {
    started_ = true;
    script_ = options_.script(*this);
    script_.start();
    script_.rethrow();
  });
}

void SimPeer::kill() {
  if (!alive()) return;
  world_.trace.print("fault   kill {}", name());
  world_.trace.mix("kill", slot_);
  blame("it was killed");
  die();
  doing = "dead";
  script_ = {};
  if (control_ != nullptr)
    world_.timeline.after(world_.between(0us, 20ms), [this, reset = world_.rng.chance(0.5)] {
      control_->close_at_peer(reset);
    });
  door_.close_all("its process was killed");
  state_door_.close_all("its process was killed");
}

void SimPeer::leave() {
  if (!alive()) return;
  world_.trace.print("fault   {} leaves", name());
  blame("it left");
  run([this] {
    script_ = {};
    handle(LeaveRequested{});
    door_.close_all("it left the run");
    state_door_.close_all("it left the run");
    die();
    doing = "gone";
  });
}

// The application has ended, usually because it is out of the run.
void SimPeer::exit() {
  if (!alive()) return;
  world_.trace.print("{}      exits: {}", name(), machine().gone().why);
  PCCL_REQUIRE(machine().gone().status != Status::master_lost ||
                   machine().gone().why.find("protocol error") == std::string::npos,
               "Honest masters keep the protocol", "{}: {}", name(), machine().gone().why);
  blame("it exited");
  die();
  doing = "gone";
  if (control_ != nullptr) control_->close_at_peer(false);
  door_.close_all("its process ended");
  state_door_.close_all("its process ended");
}

void SimPeer::handle(const PeerEvent& event) {
  core_->handle(event, world_.timeline.now());
  after_work();
}

void SimPeer::after_work() {
  if (!alive()) return;
  core_->check_transfer(world_.timeline.now(), transfer_patience);
  core_->settle(world_.timeline.now());
  if (machine().standing() == PeerMachine::Standing::accepted)
    world_.ledger.entered(id(), machine().epoch(), machine().ring());
  door_.kick();
  state_door_.kick();
}

std::vector<std::pair<Link*, End>> SimPeer::open_links() const {
  auto links = door_.open_links();
  const auto more = state_door_.open_links();
  links.insert(links.end(), more.begin(), more.end());
  return links;
}

void SimPeer::post(PeerEvent event) {
  if (options_.mute &&
      (std::holds_alternative<LinksStand>(event) || std::holds_alternative<LinkBroken>(event)))
    return;
  later(world_.between(0us, 20us), [this, event = std::move(event)] { handle(event); });
}

void SimPeer::master_reached() {
  handle(MasterReached{});
}

void SimPeer::hear_master(const wire::Frame& frame) {
  handle(MasterFrame{frame});
  if (machine().standing() != PeerMachine::Standing::accepted) return;
  if (const auto* const verdict = std::get_if<wire::OpVerdict>(&frame.message))
    world_.ledger.saw_verdict(id(), *verdict);
  if (const auto* const result = std::get_if<wire::CallResult>(&frame.message))
    world_.ledger.saw_round(id(), result->round);
  if (const auto* const installed = std::get_if<wire::EpochInstalled>(&frame.message))
    world_.ledger.saw_round(id(), installed->round);
  world_.ledger.check_kept(id(), machine().kept_verdicts());
}

void SimPeer::lose_master(const std::string& why) {
  handle(MasterGone{why});
}

// ---- node::PeerIo

void SimPeer::send_to_master(Term term, const wire::Message& message) {
  if (options_.mute && std::holds_alternative<wire::LinksReady>(message)) return;
  if (control_ != nullptr) control_->send_up({term, message});
}

void SimPeer::close_master() {
  if (control_ != nullptr) control_->close_at_peer(false);
}

void SimPeer::relink(const Relink& relink) {
  if (!options_.mute) door_.relink(relink);
}

void SimPeer::redial_master(Duration pause) {
  close_master();
  later(pause, [this, control = control_] {
    if (control_ == control && machine().master_is_away()) dial_master();
  });
}

void SimPeer::dial_master() {
  if (world_.master.alive()) {
    control_ = &world_.new_control(*this);
    return;
  }
  control_ = nullptr;
  later(world_.control_delay(), [this] { lose_master("connection refused"); });
}

void SimPeer::keep_links(const KeepLinks& keep) {
  door_.keep(keep);
}

void SimPeer::wake_at(Instant at) {
  later_at(at, [this, timer = ++timer_] {
    if (timer == timer_) handle(PeerTimePassed{});
  });
}

void SimPeer::op_ended(OpHandle handle, node::EndedOp ended) {
  const auto found = ops_.find(handle);
  if (found == ops_.end() && launching_ == nullptr)
    throw Violation("Each op ends once", fmt::format("{} ends an op that is over", name()));
  end(found == ops_.end() ? *launching_ : *found->second, std::move(ended));
}

void SimPeer::connect_ended(const Outcome& outcome) {
  world_.trace.mix("connected", slot_, static_cast<int>(outcome.status));
  world_.trace.print("{}      connect: {} {}", name(), name_of(outcome.status), outcome.why);
  connect_outcome_ = outcome;
  open(connected_);
}

void SimPeer::call_ended(const Outcome& outcome, bool peers_pending) {
  world_.trace.mix("called", slot_, static_cast<int>(outcome.status), peers_pending);
  world_.trace.print("{}      call: {} {}", name(), name_of(outcome.status), outcome.why);
  call_outcome_ = {outcome, peers_pending};
  open(called_);
}

void SimPeer::move_state(const MoveState& move) {
  if (options_.mute) return;
  state_door_.move(move);
  watch_transfer();
}

void SimPeer::watch_transfer() {
  later(transfer_check_interval, [this] {
    after_work();
    if (core_->transfer() != nullptr) watch_transfer();
  });
}

void SimPeer::drop_source(const PeerId& holder, const std::string& why) {
  state_door_.source_failed(holder, why);
}

void SimPeer::close_state() {
  state_door_.close_all("the sync is over");
}

void SimPeer::sync_ended(node::EndedSync ended) {
  world_.trace.mix("synced", slot_, static_cast<int>(ended.outcome.status));
  world_.trace.print("{}      sync: {} {}", name(), name_of(ended.outcome.status),
                     ended.outcome.why);
  syncing_ = false;
  sync_outcome_ = std::move(ended);
  open(synced_);
}

void SimPeer::measure_path(const MeasurePath& measure) {
  if (!options_.mute) measuring_.measure(measure);
}

void SimPeer::note(const std::string& text) {
  world_.trace.print("{}      {}", name(), text);
}

// ---- the application's side

void SimPeer::open(Gate& gate) {
  later(world_.between(1us, 50us), [this, &gate] {
    gate.open = true;
    if (gate.waiter) resume(std::exchange(gate.waiter, nullptr));
  });
}

void SimPeer::resume(std::coroutine_handle<> waiter) {
  waiter.resume();
  script_.rethrow();
  if (script_.done()) exit();
}

Task<Outcome> SimPeer::connect() {
  connected_ = {};
  core_->handle(ConnectRequested{p2p().port, p2p().port}, world_.timeline.now());
  dial_master();
  co_await connected_;
  co_return connect_outcome_;
}

Task<SimPeer::CallEnded> SimPeer::call(wire::CallKind what) {
  called_ = {};
  handle(CallRequested{what});
  co_await called_;
  co_return call_outcome_;
}

Task<Outcome> SimPeer::sync(SyncStrategy strategy) {
  synced_ = {};
  syncing_ = true;
  const auto prepared = std::make_shared<node::PreparedState>();
  const Outcome usable = node::prepare(state.entries(), *prepared);
  PCCL_REQUIRE(usable.ok(), "Internal", "{}", usable.why);
  const Digest offered = prepared->digest.content;
  core_->synchronize({.strategy = strategy,
                      .revision = Revision{revision},
                      .keys = prepared->keys,
                      .content = offered,
                      .whole = !state.mixture.is(offered)},
                     prepared, world_.timeline.now());
  after_work();
  co_await synced_;
  if (sync_outcome_.outcome.ok()) {
    node::read_again(*prepared);
    world_.ledger.synced(id(), sync_outcome_.revision, prepared->digest.content);
    PCCL_REQUIRE(sync_outcome_.revision.value >= revision || std::exchange(history_lost_, false),
                 "Revisions never go back", "{} had {} and has {}", name(), revision,
                 sync_outcome_.revision.value);
    revision = sync_outcome_.revision.value;
    state.mixture.none();
    state.broken_off = false;
    ++syncs_done;
  } else {
    last_failure = sync_outcome_.outcome.why;
    history_lost_ = true;
    if (sync_outcome_.half_way && state.mixture.broke_off(*prepared)) state.broken_off = true;
  }
  co_return sync_outcome_.outcome;
}

OpHandle SimPeer::launch(const OpSpec& spec, std::uint32_t amount, bool in_place) {
  auto op = std::make_unique<Op>();
  op->spec = spec;
  op->amount = amount;
  op->in_place = in_place;
  const Snapshot input = input_of(spec, amount);
  op->receive = take_buffer(spec.bytes());
  if (in_place) {
    input.write(op->receive->data());
  } else {
    op->send = take_buffer(spec.bytes());
    input.write(op->send->data());
  }
  launching_ = op.get();
  const OpHandle handle = core_->launch({spec.tag,
                                         spec.count,
                                         {in_place ? op->receive->data() : op->send->data(),
                                          op->receive->data(), spec.type, spec.op}},
                                        world_.timeline.now());
  launching_ = nullptr;
  op->key = machine().key_of(handle);
  if (op->key)
    world_.ledger.launched(id(), *op->key, machine().seen().epoch, {slot_, spec, amount});
  world_.trace.mix("launch", slot_, spec.tag.value, op->key ? op->key->launch.value : 99);
  if (world_.trace.printing())
    world_.trace.print("{}      launches {} ({} x {} {}{})", name(),
                       op->key ? to_string(*op->key) : fmt::format("tag {}", spec.tag.value),
                       spec.count, name_of(spec.type), name_of(spec.op),
                       in_place ? ", in place" : "");
  ops_.emplace(handle, std::move(op));
  after_work();
  return handle;
}

void SimPeer::end(Op& op, node::EndedOp ended) {
  PCCL_REQUIRE(!op.ended, "Each op ends once", "{}: tag {}", name(), op.spec.tag.value);
  world_.trace.mix("ended", slot_, op.spec.tag.value, static_cast<int>(ended.outcome.status));
  if (world_.trace.printing())
    world_.trace.print("{}      {} ends: {} {}", name(),
                       op.key ? to_string(*op.key) : fmt::format("tag {}", op.spec.tag.value),
                       name_of(ended.outcome.status), ended.outcome.why);
  if (ended.outcome.ok()) {
    PCCL_REQUIRE(op.key.has_value(), "One outcome per op", "{}: tag {} succeeds unlaunched", name(),
                 op.spec.tag.value);
    world_.ledger.succeeded(id(), *op.key, ended.world_size, op.receive->data());
  } else if (op.key) {
    world_.ledger.failed(id(), *op.key, ended.outcome);
  }
  op.ended = std::move(ended);
  open(op.gate);
}

Task<Outcome> SimPeer::await(OpHandle handle) {
  Op& op = *ops_.at(handle);
  co_await op.gate;
  // As PeerNode does: the copy back runs on the caller's thread.
  const Outcome outcome = op.ended->outcome;
  if (!outcome.ok() && op.ended->ring) op.ended->ring->roll_back();
  if (outcome.status == Status::peer_lost) this->handle(FailureSeen{});
  core_->roll_back_done(*op.ended);
  op.ended->ring.reset();
  Snapshot received = input_of(op.spec, op.amount);
  if (op.in_place && !outcome.ok()) {
    PCCL_REQUIRE(received.matches(op.receive->data()), "A failed op leaves its input",
                 "{}, {} x {} in place: {}", name(), op.spec.count, name_of(op.spec.type),
                 received.first_difference(op.receive->data()));
  }
  if (!op.in_place) {
    PCCL_REQUIRE(received.matches(op.send->data()), "Inputs are read only", "{}: {}", name(),
                 received.first_difference(op.send->data()));
    retire(std::move(op.send), received);
  }
  if (outcome.ok() && op.spec.bytes() > 0) {
    std::memcpy(received.bits.data(), op.receive->data(),
                std::min(op.spec.bytes(), sizeof received.bits));
    last_result_ = received.bits[0];
    PCCL_REQUIRE(received.matches(op.receive->data()), "No byte changes after the end",
                 "{}: tag {} at its await", name(), op.spec.tag.value);
  }
  if (outcome.ok() || op.in_place) retire(std::move(op.receive), received);
  ++(outcome.ok() ? reduces_done : reduces_failed);
  if (!outcome.ok()) last_failure = outcome.why;
  ops_.erase(handle);
  co_return outcome;
}

std::uint32_t SimPeer::result(OpHandle) const {
  return last_result_;
}

// Buffers are the application's again: nobody else writes them from here on.
void SimPeer::retire(Buffer buffer, const Snapshot& holds) {
  const std::byte* const data = buffer->data();
  retired_.push_back({std::move(buffer), holds});
  later(buffers_watched, [this, data] {
    const auto found = std::find_if(retired_.begin(), retired_.end(), [&](const Retired& retired) {
      return retired.buffer->data() == data;
    });
    PCCL_REQUIRE(found->holds.matches(data), "No byte changes after the end", "{}: {}", name(),
                 found->holds.first_difference(data));
    retired_.erase(found);
  });
}

SimPeer::Buffer SimPeer::take_buffer(std::size_t bytes) {
  return std::make_unique<std::vector<std::byte>>(std::max<std::size_t>(bytes, 1));
}

void SimPeer::check_touch(const std::byte* at, std::size_t bytes, const char* how) const {
  const auto overlaps = [&](const Buffer& buffer) {
    return buffer && at < buffer->data() + buffer->size() && buffer->data() < at + bytes;
  };
  PCCL_REQUIRE(syncing_ || !state.overlaps(at, bytes), "Buffers",
               "{}: the shared state is {} outside of a sync", name(), how);
  for (const Retired& retired : retired_)
    PCCL_REQUIRE(!overlaps(retired.buffer), "Buffers", "{}: a buffer is {} after the end of its op",
                 name(), how);
  for (const auto& [handle, op] : ops_)
    PCCL_REQUIRE(!op->ended || !(overlaps(op->send) || overlaps(op->receive)), "Buffers",
                 "{}: a buffer of tag {} is {} after the end of its op", name(), op->spec.tag.value,
                 how);
}

}  // namespace pccl::sim
