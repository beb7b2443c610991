// The peer's sockets and threads around PeerCore. One loop thread; callers hold the loop while they
// put an event into the inbox and wait on a promise without it.
#include "node/peer_node.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/interrupt_check.hpp"
#include "base/limits.hpp"
#include "base/log.hpp"
#include "net/loop.hpp"
#include "node/callers.hpp"
#include "node/master_connection.hpp"
#include "node/path_probes.hpp"
#include "node/peer_core.hpp"
#include "node/peer_links.hpp"
#include "node/prepared_state.hpp"
#include "node/state_links.hpp"

namespace pccl::node {

namespace {

constexpr auto dial_master_deadline = std::chrono::seconds(5);
constexpr auto transfer_check_interval = std::chrono::milliseconds(100);
constexpr const char* being_destroyed = "the communicator is being destroyed";
constexpr const char* by_application = "interrupted by the application, this peer has left the run";

// For an error: not more of them than anybody reads.
std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t most = 8;
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), most); ++i)
    text += fmt::format("{}\"{}\"", i == 0 ? "" : ", ", names[i]);
  if (names.size() > most) text += fmt::format(" and {} more", names.size() - most);
  return text;
}

// On the caller's thread, which may wait for its GPU; the loop never does.
Outcome workspace_of(const ReduceRequest& request, std::shared_ptr<device::Workspace>& workspace) {
  const auto& [location, stream] = request.on_gpu;
  const std::size_t bytes = request.count * size_of(request.type);
  try {
    if (bytes > 0 && location.place == device::Place::managed && device::has_cuda_support())
      device::wait_for(location.gpu, stream);
    if (bytes > 0 && location.place == device::Place::cuda)
      workspace = device::make_workspace(
          location.gpu, stream,
          {.op = request.op,
           .type = request.type,
           .code = request.quantization ? std::optional(request.quantization.code) : std::nullopt,
           .bytes = bytes,
           .way_back_bytes = request.send == request.receive ? bytes : 0,
           .residual_bytes = request.residual == nullptr ? 0 : request.count * sizeof(float)});
  } catch (const std::exception& error) {
    return {Status::internal, error.what()};
  }
  return {};
}

}  // namespace

class PeerNode::Impl final : public PeerIo {
 public:
  explicit Impl(PeerOptions options) : options_(options) {}
  ~Impl() override { shut_down(); }

  void interrupt(const std::string& why = being_destroyed, bool on_purpose = true);
  Outcome connect();
  bool connected() const { return accepted_; }
  Outcome call(wire::CallKind what, bool& peers_pending);
  Outcome launch(const ReduceRequest& request);
  Outcome await(std::uint64_t tag, ReduceInfo& info);
  Outcome synchronize(SyncRequest request, SyncInfo& info);
  SyncProgress sync_progress() const { return {bytes_here_, bytes_wanted_}; }
  Attributes attributes() const { return callers_.attributes(); }

 private:
  // What lives from a connect to its failure, or to the end of the node.
  struct Session {
    ~Session() { stop(); }
    void stop();  // nothing runs in it any more; before that, `session_` must point to it
    net::Loop loop;
    std::unique_ptr<PeerCore> core;
    std::unique_ptr<PeerLinks> links;
    std::unique_ptr<StateLinks> state_links;
    std::unique_ptr<PathProbes> probes;
    std::unique_ptr<MasterConnection> master;
    net::Loop::Timer timer{loop};
    net::Loop::Timer connect_limit{loop};
    net::Loop::Timer transfer_timer{loop};
    net::Loop::Timer tick_timer{loop};
    std::atomic<std::uint32_t> ticks = 0;
    std::atomic<bool> ticking = false;
    std::thread thread;
    std::deque<membership::PeerEvent> inbox;
    bool core_is_busy = false;
    bool failed = false;  // to connect
    std::optional<Instant> next_ping_check;
  };

  Outcome open_session();
  void feed(membership::PeerEvent event);
  template <typename Work>
  void with_core(Work work);  // then carries out whatever follows from it
  template <typename Value>
  Value& wait_for(Promise<Value>& promise);
  void tick_again();
  void check_time();
  void watch_transfer();
  void refresh_attributes();
  void shut_down();
  Duration transfer_patience() const { return 2 * options_.peer_timeout; }

  // PeerIo
  void send_to_master(Term term, const wire::Message& message) override;
  void close_master() override { session_->master->close_after_sending(); }
  void redial_master(Duration pause) override {
    session_->master->dial_after(pause, limits::redial_deadline);
  }
  void relink(const membership::Relink& relink) override { session_->links->relink(relink); }
  void keep_links(const membership::KeepLinks& keep) override { session_->links->keep(keep); }
  void wake_at(Instant at) override;
  void op_ended(OpHandle handle, EndedOp ended) override;
  void connect_ended(const Outcome& outcome) override;
  void call_ended(const Outcome& outcome, bool peers_pending) override;
  void move_state(const membership::MoveState& move) override;
  void drop_source(const PeerId& holder, const std::string& why) override {
    session_->state_links->drop_source(holder, why);
  }
  void close_state() override;
  void sync_ended(EndedSync ended) override;
  void measure_path(const membership::MeasurePath& measure) override {
    session_->probes->measure(measure);
  }
  void stop_measuring() override { session_->probes->stop(); }
  void note(const std::string& text) override { log()->info("{}", text); }
  void gpu_has_news() override;
  void gpu_has_failed(const std::string& why) override;
  void leave_if_a_gpu_has_failed();

  PeerOptions options_;
  std::mutex session_changes_;  // guards the pointer against interrupt(), which any thread calls
  std::unique_ptr<Session> session_;
  std::atomic<bool> accepted_ = false;

  Callers callers_;
  // What a sync that broke off has left of the shared state: no content that anybody has elected.
  Mixture mixture_;
  std::atomic<std::uint64_t> bytes_here_ = 0, bytes_wanted_ = 0;  // of the sync that runs
  std::atomic<bool> gpu_news_ = false;                            // on its way to the core
};

// ---- connect
// ---------------------------------------------------------------------------------------------

void PeerNode::Impl::Session::stop() {
  loop.stop();
  if (thread.joinable()) thread.join();
}

Outcome PeerNode::Impl::connect() {
  const Callers::Inside inside(callers_);
  if (Outcome opened = open_session(); !opened.ok()) return opened;
  Session& session = *session_;
  const auto promise = std::make_shared<Promise<Outcome>>();
  {
    const net::Loop::Hold hold(session.loop);
    Outcome listening = session.links->listen(options_.master.address.v6);
    if (listening.ok()) listening = session.state_links->listen(options_.master.address.v6);
    if (!listening.ok()) {
      session.failed = true;
      return {Status::master_lost, listening.why};
    }
    if (Outcome refused = callers_.begin_connect(promise); !refused.ok()) return refused;
    session.thread = std::thread([&session] { session.loop.run(); });
    feed(membership::ConnectRequested{session.links->port(), session.state_links->port()});
    session.master->dial(dial_master_deadline);
    if (options_.connect_timeout > Duration{0})
      session.connect_limit.set(net::Loop::now() + options_.connect_timeout, [this] {
        feed(membership::ConnectGivenUp{
            fmt::format("not admitted within {:.1f} s", seconds(options_.connect_timeout))});
      });
  }
  while (!promise->kept_within(interrupt_check_interval))
    if (application_interrupts()) interrupt(by_application);
  const Outcome outcome = promise->wait();
  session.failed = !outcome.ok();
  return outcome;
}

// A session that failed to connect is replaced; one that connected is not, even after it has ended.
Outcome PeerNode::Impl::open_session() {
  if (session_ && session_->failed) {
    session_->stop();
    const std::lock_guard guard(session_changes_);
    if (Outcome refused = callers_.may_begin(); !refused.ok()) return refused;
    session_.reset();
  }
  if (session_) {
    const net::Loop::Hold hold(session_->loop);
    const auto& machine = session_->core->machine();
    if (machine.standing() == membership::PeerMachine::Standing::gone) return machine.unusable();
    return {Status::invalid_usage, "this communicator is connected, or connecting, already"};
  }
  auto session = std::make_unique<Session>();
  session->core = std::make_unique<PeerCore>(
      membership::PeerSettings{.group = Group{options_.peer_group},
                               .cohort = options_.cohort,
                               .master_timeout = options_.master_timeout},
      *this, options_.algorithm);
  session->links = std::make_unique<PeerLinks>(
      session->loop, session->core->outgoing(), session->core->incoming(),
      LinkOptions{options_.lanes, options_.peer_timeout, options_.shared_memory},
      PeerLinks::Callbacks{[this](const membership::LinksStand& stand) { feed(stand); },
                           [this](const membership::LinkBroken& broken) { feed(broken); },
                           [this] { with_core([] {}); },
                           [this] { session_->core->previous_link_replaced(); },
                           [this](Door& door, Door::VisitorId id, const wire::PathHello& hello) {
                             session_->probes->judge(door, id, hello);
                           }});
  session->probes = std::make_unique<PathProbes>(
      session->loop, options_.lanes, options_.peer_timeout,
      PathProbes::Callbacks{
          [this](const wire::PathMeasured& measured) { feed(membership::PathJudged{measured}); },
          [this] { session_->links->ask_door_again(); }});
  session->state_links = std::make_unique<StateLinks>(
      session->loop, options_.peer_timeout,
      StateLinks::Callbacks{
          [this](PeerId holder) -> net::LaneClient& {
            return session_->core->transfer()->source(holder);
          },
          [this](ReceiverId id) -> net::LaneClient& {
            return session_->core->transfer()->receiver(id);
          },
          [this](PeerId holder, const std::string& why, bool for_good) {
            log()->info("holder {} of the shared state: {}", short_name(holder), why);
            session_->core->transfer()->source_lost(holder, why, for_good);
            if (!session_->core_is_busy) with_core([] {});
          },
          [this](ReceiverId id) { session_->core->transfer()->receiver_lost(id); },
          [this] { with_core([] {}); }});
  // A silent path costs this peer its place after one peer timeout: twice that decides nothing.
  session->master = std::make_unique<MasterConnection>(
      session->loop, options_.master, 2 * options_.peer_timeout,
      MasterConnection::Callbacks{
          [this] { feed(membership::MasterReached{}); },
          [this](wire::Frame frame) { feed(membership::MasterFrame{std::move(frame)}); },
          [this](const std::string& why) { feed(membership::MasterGone{why}); }});
  const std::lock_guard guard(session_changes_);
  if (Outcome refused = callers_.may_begin(); !refused.ok()) return refused;
  session_ = std::move(session);
  return {};
}

void PeerNode::Impl::connect_ended(const Outcome& outcome) {
  if (outcome.ok()) {
    accepted_ = true;
    refresh_attributes();
  }
  session_->connect_limit.cancel();
  callers_.end_connect(outcome);
}

// ---- the loop
// --------------------------------------------------------------------------------------------

// Events that the core's own effects raise (a link that was kept stands at once) wait for its
// return.
void PeerNode::Impl::feed(membership::PeerEvent event) {
  session_->inbox.push_back(std::move(event));
  if (session_->core_is_busy) return;
  with_core([] {});
}

template <typename Work>
void PeerNode::Impl::with_core(Work work) {
  Session& session = *session_;
  session.core_is_busy = true;
  work();
  do {
    while (!session.inbox.empty()) {
      const membership::PeerEvent next = std::move(session.inbox.front());
      session.inbox.pop_front();
      session.core->handle(next, net::Loop::now());
    }
    if (session.core->outgoing_has_frames()) session.links->kick_outgoing();
    if (session.core->incoming_has_frames()) session.links->kick_incoming();
    session.core->check_transfer(net::Loop::now(), transfer_patience());
    if (session.core->transfer() != nullptr) session.state_links->kick();
    session.core->settle(net::Loop::now());  // ops that the last segment sent has finished
  } while (!session.inbox.empty());
  session.core_is_busy = false;
  if (session.core->machine().standing() == membership::PeerMachine::Standing::gone)
    accepted_ = false;
}

// The loop is not held. Lets the waiting thread run the loop, when nobody else does. An application
// that has a way to interrupt is asked at each tick.
template <typename Value>
Value& PeerNode::Impl::wait_for(Promise<Value>& promise) {
  Session& session = *session_;
  const auto takeover = [this] { return callers_.takeover(); };
  bool interruptible = has_interrupt_check();
  while (interruptible && !promise.kept()) {
    if (!session.ticking) {
      const net::Loop::Hold hold(session.loop);
      tick_again();
    }
    const std::uint32_t seen = session.ticks;
    session.loop.run_until([&] { return promise.kept() || session.ticks != seen; }, takeover);
    if (promise.kept_within(session.ticks != seen ? Duration{} : interrupt_check_interval)) break;
    interruptible = !application_interrupts();
    if (!interruptible) interrupt(by_application, false);
  }
  session.loop.run_until([&] { return promise.kept(); }, takeover);
  return promise.wait();
}

// Wakes who runs the loop, again and again while a caller is inside.
void PeerNode::Impl::tick_again() {
  session_->ticking = true;
  session_->tick_timer.set(net::Loop::now() + interrupt_check_interval, [this] {
    ++session_->ticks;
    session_->ticking = false;  // before the question: who enters now sees this, or is seen
    if (callers_.anybody_inside()) tick_again();
  });
}

void PeerNode::Impl::wake_at(Instant at) {
  session_->timer.set(at, [this] { check_time(); });
}

void PeerNode::Impl::check_time() {
  const Instant now = net::Loop::now();
  const Duration interval = options_.peer_timeout / 6;
  std::optional<Instant>& due = session_->next_ping_check;
  const bool overslept = due && now > *due + 2 * interval;
  if (!due || now >= *due) {
    due = now + interval;
    session_->core->check_gpus();
    session_->links->check_pings(now, overslept);
    session_->state_links->check_pings(now, overslept);
    if (overslept && session_->core->transfer() != nullptr)
      session_->core->transfer()->grant_fresh_deadlines(now);
  }
  feed(membership::PeerTimePassed{});
}

void PeerNode::Impl::send_to_master(Term term, const wire::Message& message) {
  session_->master->send(term, message);
}

// ---- calls
// -----------------------------------------------------------------------------------------------

Outcome PeerNode::Impl::call(wire::CallKind what, bool& peers_pending) {
  const Callers::Inside inside(callers_);
  const auto promise = std::make_shared<Promise<CallEnded>>();
  if (!session_) return {Status::invalid_usage, "not connected"};
  {
    const net::Loop::Hold hold(session_->loop);
    if (Outcome refused = callers_.begin_call(what, promise); !refused.ok()) return refused;
    feed(membership::CallRequested{what});
  }
  const CallEnded& ended = wait_for(*promise);
  peers_pending = ended.peers_pending;
  return ended.outcome;
}

void PeerNode::Impl::call_ended(const Outcome& outcome, bool peers_pending) {
  refresh_attributes();
  if (callers_.end_call({outcome, peers_pending}))
    session_->loop.caller_answered(callers_.takeover());
}

// What the caller has seen changes only in calls that end well; a failed one refreshes nothing.
void PeerNode::Impl::refresh_attributes() {
  const auto& machine = session_->core->machine();
  if (machine.standing() != membership::PeerMachine::Standing::accepted) return;
  const membership::PeerMachine::Seen& seen = machine.seen();
  callers_.set_attributes({seen.counts.global_world_size, seen.group_world_size,
                           seen.counts.distinct_groups, seen.counts.largest_group_world_size,
                           session_->core->star_bytes(), session_->core->pairwise_bytes()});
}

// ---- all-reduce
// ------------------------------------------------------------------------------------------

Outcome PeerNode::Impl::launch(const ReduceRequest& request) {
  const Callers::Inside inside(callers_);
  if (!session_) return {Status::invalid_usage, "not connected"};
  const auto promise = std::make_shared<Promise<EndedOp>>();
  // Before the loop is held: who lets go of a workspace last may have to wait for its GPU.
  OpRequest what{Tag{request.tag},
                 request.count,
                 {request.send, request.receive, request.type, request.op, request.quantization,
                  request.residual, nullptr}};
  if (Outcome refused = workspace_of(request, what.operand.workspace); !refused.ok()) {
    leave_if_a_gpu_has_failed();
    return refused;
  }
  const net::Loop::Hold hold(session_->loop);
  if (Outcome refused = callers_.may_launch(request.tag); !refused.ok()) return refused;
  if (Outcome may = session_->core->machine().may_launch(); !may.ok()) return may;
  with_core([&] {
    const OpHandle handle = session_->core->launch(what, net::Loop::now());
    callers_.launched(request.tag, handle, promise);
  });
  if (!request.awaited_at_once) session_->loop.leave_work();
  return {};
}

void PeerNode::Impl::op_ended(OpHandle handle, EndedOp ended) {
  if (callers_.end_op(handle, std::move(ended)))
    session_->loop.caller_answered(callers_.takeover());
}

Outcome PeerNode::Impl::await(std::uint64_t tag, ReduceInfo& info) {
  const Callers::Inside inside(callers_);
  const auto promise = callers_.op(tag);
  if (!promise)
    return {Status::peer_lost, fmt::format("no all-reduce with tag {} is in flight", tag)};
  EndedOp& ended = wait_for(*promise);
  Outcome outcome = ended.outcome;
  // The copy back runs on the caller's thread: the loop has other peers to answer.
  if (!outcome.ok()) ended.roll_back();
  const auto given_back_last = std::move(ended.workspace);
  const net::Loop::Hold hold(session_->loop);
  if (outcome.ok()) info = {ended.world_size, ended.tx_bytes, ended.rx_bytes};
  if (outcome.status == Status::peer_lost) {
    feed(membership::FailureSeen{});
    refresh_attributes();
  }
  session_->core->roll_back_done(ended);
  callers_.forget_op(tag);
  return outcome;
}

// ---- GPUs
// ------------------------------------------------------------------------------------------------

void PeerNode::Impl::gpu_has_news() {
  if (gpu_news_.exchange(true)) return;
  session_->loop.post([this] {
    gpu_news_ = false;
    with_core([this] { session_->core->take_gpu_news(net::Loop::now()); });
  });
}

// What has just been refused may be due to that. Else the others would wait for this peer.
void PeerNode::Impl::leave_if_a_gpu_has_failed() {
  const std::string why = device::Gpu::which_has_failed();
  const net::Loop::Hold hold(session_->loop);
  if (!why.empty()) gpu_has_failed(why);
}

// The others go on without this peer, whose process cannot use the GPU any more.
void PeerNode::Impl::gpu_has_failed(const std::string& why) {
  log()->error("{}", why);
  callers_.shut(why);
  feed(membership::LeaveRequested{why, false});
}

// ---- shared state
// --------------------------------------------------------------------------------------------

Outcome PeerNode::Impl::synchronize(SyncRequest request, SyncInfo& info) {
  const Callers::Inside inside(callers_);
  if (!session_) return {Status::invalid_usage, "not connected"};
  const auto promise = std::make_shared<Promise<EndedSync>>();
  if (Outcome refused = callers_.begin_sync(promise); !refused.ok()) return refused;
  const auto state = std::make_shared<PreparedState>();
  if (Outcome wrong = prepare(std::move(request.entries), *state, request.stream); !wrong.ok()) {
    callers_.end_sync({});
    if (wrong.status == Status::internal) leave_if_a_gpu_has_failed();
    return wrong;
  }
  {
    const net::Loop::Hold hold(session_->loop);
    if (Outcome refused = callers_.may_begin(); !refused.ok()) {
      callers_.end_sync({});
      return refused;
    }
    with_core([&] {
      session_->core->synchronize({.strategy = request.strategy,
                                   .revision = Revision{request.revision},
                                   .keys = state->keys,
                                   .content = state->digest.content,
                                   .whole = !mixture_.is(state->digest.content)},
                                  state, net::Loop::now());
    });
  }
  EndedSync& ended = wait_for(*promise);
  if (ended.outcome.ok()) {
    info = {ended.revision.value, ended.tx_bytes, ended.rx_bytes};
    mixture_.none();
  } else if (ended.half_way && mixture_.broke_off(*state)) {
    ended.outcome.why += "; some entries are as they were and others as elected";
    if (!ended.incomplete.empty())
      ended.outcome.why += ", incomplete now: " + listed(ended.incomplete);
  }
  return ended.outcome;
}

void PeerNode::Impl::move_state(const membership::MoveState& move) {
  session_->state_links->move(move);
  watch_transfer();
}

// Who stalls is found out, and a slow holder's blocks are asked of others, at this rhythm.
void PeerNode::Impl::watch_transfer() {
  session_->transfer_timer.set(net::Loop::now() + transfer_check_interval, [this] {
    if (session_->core->transfer() == nullptr) return;
    const shared_state::FetchProgress progress = session_->core->transfer()->progress();
    bytes_here_ = progress.bytes_verified;
    bytes_wanted_ = progress.bytes_wanted;
    with_core([] {});
    if (session_->core->transfer() != nullptr) watch_transfer();
  });
}

void PeerNode::Impl::close_state() {
  session_->transfer_timer.cancel();
  bytes_here_ = bytes_wanted_ = 0;
  session_->state_links->close();
}

void PeerNode::Impl::sync_ended(EndedSync ended) {
  if (callers_.end_sync(std::move(ended))) session_->loop.caller_answered(callers_.takeover());
}

// ---- the end
// ---------------------------------------------------------------------------------------------

void PeerNode::Impl::interrupt(const std::string& why, bool on_purpose) {
  callers_.shut(why);
  Session* session = nullptr;
  {
    const std::lock_guard guard(session_changes_);
    session = session_.get();
  }
  if (session != nullptr) {
    const net::Loop::Hold hold(session->loop);
    feed(membership::LeaveRequested{why, on_purpose});
  }
  callers_.end_connect(callers_.may_begin());
}

void PeerNode::Impl::shut_down() {
  interrupt();
  callers_.wait_until_nobody_is_inside();
  if (!session_) return;
  // Ops that nobody awaited: their in-place buffers hold their input again.
  for (const auto& promise : callers_.unawaited_ops()) {
    EndedOp& ended = promise->wait();
    if (!ended.outcome.ok()) ended.roll_back();
    const auto given_back_last = std::move(ended.workspace);
    const net::Loop::Hold hold(session_->loop);
    session_->core->roll_back_done(ended);
  }
  session_->stop();
  session_->core->revoke_gpu_news();  // it is told by way of the session
  session_.reset();
}

PeerNode::PeerNode(PeerOptions options) : impl_(std::make_unique<Impl>(options)) {}
PeerNode::~PeerNode() = default;
void PeerNode::interrupt() {
  impl_->interrupt();
}
void PeerNode::fall_out(const std::string& why) {
  impl_->interrupt(why, false);
}
Outcome PeerNode::connect() {
  return impl_->connect();
}
bool PeerNode::connected() const {
  return impl_->connected();
}
Outcome PeerNode::launch(const ReduceRequest& request) {
  return impl_->launch(request);
}
Outcome PeerNode::await(std::uint64_t tag, ReduceInfo& info) {
  return impl_->await(tag, info);
}
Outcome PeerNode::are_peers_pending(bool& pending) {
  return impl_->call(wire::CallKind::peers_pending, pending);
}
Outcome PeerNode::synchronize(SyncRequest request, SyncInfo& info) {
  return impl_->synchronize(std::move(request), info);
}
SyncProgress PeerNode::sync_progress() const {
  return impl_->sync_progress();
}
Attributes PeerNode::attributes() const {
  return impl_->attributes();
}

Outcome PeerNode::optimize_topology() {
  bool unused = false;
  return impl_->call(wire::CallKind::optimize_topology, unused);
}

Outcome PeerNode::update_topology() {
  bool unused = false;
  return impl_->call(wire::CallKind::update_topology, unused);
}

}  // namespace pccl::node
