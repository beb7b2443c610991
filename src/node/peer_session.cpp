#include "node/peer_session.hpp"

#include <fmt/format.h>

#include <utility>

#include "base/limits.hpp"
#include "base/log.hpp"

namespace pccl::node {

namespace {

constexpr auto dial_master_deadline = std::chrono::seconds(5);
constexpr auto transfer_check_interval = std::chrono::milliseconds(100);

}  // namespace

PeerSession::PeerSession(const PeerOptions& options, Callers& callers)
    : options_(options),
      callers_(callers),
      core_({.group = Group{options.peer_group},
             .cohort = options.cohort,
             .master_timeout = options.master_timeout},
            *this, options.algorithm),
      links_(loop_, core_.outgoing(), core_.incoming(),
             LinkOptions{options.lanes, options.peer_timeout, options.shared_memory},
             PeerLinks::Callbacks{
                 [this](const membership::LinksStand& stand) { feed(stand); },
                 [this](const membership::LinkBroken& broken) { feed(broken); },
                 [this] { with_core([] {}); }, [this] { core_.previous_link_replaced(); },
                 [this](Door& door, Door::VisitorId id, const wire::PathHello& hello) {
                   probes_.judge(door, id, hello);
                 }}),
      probes_(loop_, options.lanes, options.peer_timeout,
              PathProbes::Callbacks{[this](const wire::PathMeasured& measured) {
                                      feed(membership::PathJudged{measured});
                                    },
                                    [this] { links_.ask_door_again(); }}),
      state_links_(loop_, options.peer_timeout, state_links_callbacks()),
      // A silent path costs this peer its place after one peer timeout: twice that decides nothing.
      master_(loop_, options.master, 2 * options.peer_timeout,
              MasterConnection::Callbacks{
                  [this] { feed(membership::MasterReached{}); },
                  [this](wire::Frame frame) { feed(membership::MasterFrame{std::move(frame)}); },
                  [this](const std::string& why) { feed(membership::MasterGone{why}); }}) {}

StateLinks::Callbacks PeerSession::state_links_callbacks() {
  return {[this](PeerId holder) -> net::LaneClient& { return core_.transfer()->source(holder); },
          [this](ReceiverId id) -> net::LaneClient& { return core_.transfer()->receiver(id); },
          [this](PeerId holder, const std::string& why, bool for_good) {
            log()->info("holder {} of the shared state: {}", short_name(holder), why);
            core_.transfer()->source_lost(holder, why, for_good);
            if (!core_is_busy_) with_core([] {});
          },
          [this](ReceiverId id) { core_.transfer()->receiver_lost(id); },
          [this] { with_core([] {}); }};
}

PeerSession::~PeerSession() {
  loop_.stop();
  if (thread_.joinable()) thread_.join();
  core_.revoke_gpu_news();  // it is told by way of the loop
}

// ---- in and out of the run
// ------------------------------------------------------------------------------------

Outcome PeerSession::connect(const Callers::Waiting<Outcome>& promise) {
  const net::Loop::Hold hold(loop_);
  Outcome listening = links_.listen(options_.master.address.v6);
  if (listening.ok()) listening = state_links_.listen(options_.master.address.v6);
  if (!listening.ok()) return {Status::master_lost, listening.why};
  if (Outcome refused = callers_.begin_connect(promise); !refused.ok()) return refused;
  thread_ = std::thread([this] { loop_.run(); });
  feed(membership::ConnectRequested{links_.port(), state_links_.port()});
  master_.dial(dial_master_deadline);
  if (options_.connect_timeout > Duration{0})
    connect_limit_.set(net::Loop::now() + options_.connect_timeout, [this] {
      feed(membership::ConnectGivenUp{
          fmt::format("not admitted within {:.1f} s", seconds(options_.connect_timeout))});
    });
  return {};
}

void PeerSession::connect_ended(const Outcome& outcome) {
  if (outcome.ok()) {
    accepted_ = true;
    refresh_attributes();
  }
  connect_limit_.cancel();
  callers_.end_connect(outcome);
}

void PeerSession::leave(const std::string& why, bool on_purpose) {
  callers_.shut(why);
  const net::Loop::Hold hold(loop_);
  feed(membership::LeaveRequested{why, on_purpose});
}

void PeerSession::send_to_master(Term term, const wire::Message& message) {
  master_.send(term, message);
}

void PeerSession::redial_master(Duration pause) {
  master_.dial_after(pause, limits::redial_deadline);
}

void PeerSession::note(const std::string& text) {
  log()->info("{}", text);
}

// ---- the loop
// --------------------------------------------------------------------------------------------

// Events that the core's own effects raise (a link that was kept stands at once) wait for its
// return.
void PeerSession::feed(membership::PeerEvent event) {
  inbox_.push_back(std::move(event));
  if (!core_is_busy_) with_core([] {});
}

void PeerSession::settle_core() {
  do {
    while (!inbox_.empty()) {
      const membership::PeerEvent next = std::move(inbox_.front());
      inbox_.pop_front();
      core_.handle(next, net::Loop::now());
    }
    if (core_.outgoing_has_frames()) links_.kick_outgoing();
    if (core_.incoming_has_frames()) links_.kick_incoming();
    core_.check_transfer(net::Loop::now(), transfer_patience());
    if (core_.transfer() != nullptr) state_links_.kick();
    core_.settle(net::Loop::now());  // ops that the last segment sent has finished
  } while (!inbox_.empty());
  core_is_busy_ = false;
  if (core_.machine().standing() == membership::PeerMachine::Standing::gone) accepted_ = false;
}

void PeerSession::wake_at(Instant at) {
  timer_.set(at, [this] { check_time(); });
}

void PeerSession::check_time() {
  const Instant now = net::Loop::now();
  const Duration interval = options_.peer_timeout / 6;
  const bool overslept = next_ping_check_ && now > *next_ping_check_ + 2 * interval;
  if (!next_ping_check_ || now >= *next_ping_check_) {
    next_ping_check_ = now + interval;
    with_core([this] { core_.check_gpus(); });
    links_.check_pings(now, overslept);
    state_links_.check_pings(now, overslept);
    if (overslept && core_.transfer() != nullptr) core_.transfer()->grant_fresh_deadlines(now);
  }
  feed(membership::PeerTimePassed{});
}

// Wakes who runs the loop, again and again while a caller is inside.
void PeerSession::tick_again() {
  ticking_ = true;
  tick_timer_.set(net::Loop::now() + interrupt_check_interval, [this] {
    ++ticks_;
    ticking_ = false;  // before the question: who enters now sees this, or is seen
    if (callers_.anybody_inside()) tick_again();
  });
}

bool PeerSession::interrupted_by_application() {
  if (!application_interrupts()) return false;
  leave(left_by_application, false);
  return true;
}

// ---- what callers wait for
// ------------------------------------------------------------------------------------

void PeerSession::call_ended(const Outcome& outcome, bool peers_pending) {
  refresh_attributes();
  if (callers_.end_call({outcome, peers_pending})) loop_.caller_answered(callers_.takeover());
}

void PeerSession::op_ended(OpHandle handle, EndedOp ended) {
  if (callers_.end_op(handle, std::move(ended))) loop_.caller_answered(callers_.takeover());
}

void PeerSession::sync_ended(EndedSync ended) {
  if (callers_.end_sync(std::move(ended))) loop_.caller_answered(callers_.takeover());
}

// What the caller has seen changes only in calls that end well; a failed one refreshes nothing.
void PeerSession::refresh_attributes() {
  const auto& machine = core_.machine();
  if (machine.standing() != membership::PeerMachine::Standing::accepted) return;
  const membership::PeerMachine::Seen& seen = machine.seen();
  callers_.set_attributes({seen.counts.global_world_size, seen.group_world_size,
                           seen.counts.distinct_groups, seen.counts.largest_group_world_size,
                           core_.star_bytes(), core_.pairwise_bytes()});
}

// ---- shared state
// --------------------------------------------------------------------------------------------

void PeerSession::move_state(const membership::MoveState& move) {
  state_links_.move(move);
  watch_transfer();
}

// Who stalls is found out, and a slow holder's blocks are asked of others, at this rhythm.
void PeerSession::watch_transfer() {
  transfer_timer_.set(net::Loop::now() + transfer_check_interval, [this] {
    if (core_.transfer() == nullptr) return;
    const shared_state::FetchProgress progress = core_.transfer()->progress();
    bytes_here_ = progress.bytes_verified;
    bytes_wanted_ = progress.bytes_wanted;
    with_core([] {});
    if (core_.transfer() != nullptr) watch_transfer();
  });
}

void PeerSession::close_state() {
  transfer_timer_.cancel();
  bytes_here_ = bytes_wanted_ = 0;
  state_links_.close();
}

// ---- GPUs
// ------------------------------------------------------------------------------------------------

void PeerSession::gpu_has_news() {
  if (gpu_news_.exchange(true)) return;
  loop_.post([this] {
    gpu_news_ = false;
    with_core([this] { core_.take_gpu_news(net::Loop::now()); });
  });
}

void PeerSession::leave_because(const std::string& why) {
  if (why.empty()) return;
  const net::Loop::Hold hold(loop_);
  gpu_has_failed(why);
}

// The others go on without this peer, whose process cannot use the GPU any more.
void PeerSession::gpu_has_failed(const std::string& why) {
  log()->error("{}", why);
  callers_.shut(why);
  feed(membership::LeaveRequested{why, false});
}

}  // namespace pccl::node
