#include "node/peer_node.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <optional>
#include <utility>

#include "node/gpu_requests.hpp"
#include "node/peer_session.hpp"
#include "node/prepared_state.hpp"

namespace pccl::node {

namespace {

constexpr const char* being_destroyed = "the communicator is being destroyed";

// For an error: not more of them than anybody reads.
std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t most = 8;
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), most); ++i)
    text += fmt::format("{}\"{}\"", i == 0 ? "" : ", ", names[i]);
  if (names.size() > most) text += fmt::format(" and {} more", names.size() - most);
  return text;
}

}  // namespace

// The calls of the application around the session: they hold its loop while they put something into
// it, and wait on a promise without it.
class PeerNode::Impl {
 public:
  explicit Impl(PeerOptions options) : options_(options) {}
  ~Impl() { shut_down(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void interrupt(const std::string& why = being_destroyed, bool on_purpose = true);
  Outcome may_go_on() const { return callers_.may_begin(); }
  Outcome connect();
  bool connected() const;
  Outcome call(wire::CallKind what, bool& peers_pending);
  Outcome launch(const ReduceRequest& request);
  Outcome await(std::uint64_t tag, ReduceInfo& info);
  Outcome synchronize(SyncRequest request, SyncInfo& info);
  SyncProgress sync_progress() const;
  Attributes attributes() const { return callers_.attributes(); }

 private:
  Outcome open_session();
  Outcome may_launch(std::uint64_t tag) const;
  template <typename Request>
  Outcome wait_for_input(const Request& request);
  void shut_down();

  PeerOptions options_;
  Callers callers_;
  // Guards the pointer against methods that any thread calls: only the thread that connects and
  // the last one change it.
  mutable std::mutex session_changes_;
  std::unique_ptr<PeerSession> session_;
  bool connect_failed_ = false;
  // What a sync that broke off has left of the shared state: no content that anybody has elected.
  Mixture mixture_;
};

// ---- connect
// ---------------------------------------------------------------------------------------------

Outcome PeerNode::Impl::connect() {
  const Callers::Inside inside(callers_);
  if (Outcome opened = open_session(); !opened.ok()) return opened;
  const auto promise = std::make_shared<Promise<Outcome>>();
  Outcome outcome = session_->connect(promise);
  if (outcome.ok()) {
    while (!promise->kept_within(interrupt_check_interval))
      if (application_interrupts()) interrupt(left_by_application);
    outcome = promise->wait();
  }
  connect_failed_ = !outcome.ok();
  return outcome;
}

// A session that failed to connect is replaced; one that connected is not, even after it has ended.
Outcome PeerNode::Impl::open_session() {
  std::unique_ptr<PeerSession> former;
  if (session_ && connect_failed_) {
    const std::lock_guard guard(session_changes_);
    if (Outcome refused = callers_.may_begin(); !refused.ok()) return refused;
    former = std::move(session_);
  }
  former.reset();
  if (session_) {
    const net::Loop::Hold hold(session_->loop());
    const auto& machine = session_->core().machine();
    if (machine.standing() == membership::PeerMachine::Standing::gone) return machine.unusable();
    return {Status::invalid_usage, "this communicator is connected, or connecting, already"};
  }
  auto session = std::make_unique<PeerSession>(options_, callers_);
  const std::lock_guard guard(session_changes_);
  if (Outcome refused = callers_.may_begin(); !refused.ok()) return refused;
  session_ = std::move(session);
  return {};
}

bool PeerNode::Impl::connected() const {
  const std::lock_guard guard(session_changes_);
  return session_ && session_->accepted();
}

// ---- calls
// -----------------------------------------------------------------------------------------------

Outcome PeerNode::Impl::call(wire::CallKind what, bool& peers_pending) {
  const Callers::Inside inside(callers_);
  const auto promise = std::make_shared<Promise<CallEnded>>();
  if (!session_) return {Status::invalid_usage, "not connected"};
  {
    const net::Loop::Hold hold(session_->loop());
    if (Outcome refused = callers_.begin_call(what, promise); !refused.ok()) return refused;
    session_->feed(membership::CallRequested{what});
  }
  const CallEnded& ended = session_->wait_for(*promise);
  peers_pending = ended.peers_pending;
  return ended.outcome;
}

// ---- all-reduce
// ------------------------------------------------------------------------------------------

// The loop is held.
Outcome PeerNode::Impl::may_launch(std::uint64_t tag) const {
  Outcome may = callers_.may_launch(tag);
  return may.ok() ? session_->core().may_launch() : may;
}

Outcome PeerNode::Impl::launch(const ReduceRequest& request) {
  const Callers::Inside inside(callers_);
  if (!session_) return {Status::invalid_usage, "not connected"};
  const auto promise = std::make_shared<Promise<EndedOp>>();
  // Before the loop is held: who lets go of a workspace last may have to wait for its GPU.
  OpRequest what{Tag{request.tag},
                 request.count,
                 {request.send, request.receive, request.type, request.op, request.quantization,
                  request.residual, nullptr}};
  if (request.on_gpu.location.place != device::Place::host) {
    {  // nothing of a GPU is taken for an op that is refused anyway
      const net::Loop::Hold hold(session_->loop());
      if (Outcome refused = may_launch(request.tag); !refused.ok()) return refused;
    }
    Outcome ready = wait_for_input(request);
    if (ready.ok()) ready = make_workspace(request, what.operand.workspace);
    if (ready.status == Status::internal) session_->leave_because(failed_gpu(request));
    if (!ready.ok()) return ready;
  }
  const net::Loop::Hold hold(session_->loop());
  if (Outcome refused = may_launch(request.tag); !refused.ok()) return refused;
  session_->with_core([&] {
    const OpHandle handle = session_->core().launch(what, net::Loop::now());
    callers_.launched(request.tag, handle, promise);
  });
  if (!request.awaited_at_once) session_->loop().leave_work();
  return {};
}

Outcome PeerNode::Impl::await(std::uint64_t tag, ReduceInfo& info) {
  const Callers::Inside inside(callers_);
  const auto promise = callers_.op(tag);
  if (!promise)
    return {Status::peer_lost, fmt::format("no all-reduce with tag {} is in flight", tag)};
  EndedOp& ended = session_->wait_for(*promise);
  Outcome outcome = ended.outcome;
  // The copy back runs on the caller's thread: the loop has other peers to answer.
  if (!outcome.ok()) ended.roll_back();
  const auto given_back_last = std::move(ended.workspace);
  const net::Loop::Hold hold(session_->loop());
  if (outcome.ok()) info = {ended.world_size, ended.tx_bytes, ended.rx_bytes};
  if (outcome.status == Status::peer_lost) {
    session_->feed(membership::FailureSeen{});
    session_->refresh_attributes();
  }
  session_->core().roll_back_done(ended);
  callers_.forget_op(tag);
  return outcome;
}

// ---- GPUs
// ------------------------------------------------------------------------------------------------

// Who does not come out of it has left the run.
template <typename Request>
Outcome PeerNode::Impl::wait_for_input(const Request& request) {
  Outcome here = node::wait_for_input(request, [this] {
    if (!callers_.may_begin().ok()) return true;
    if (application_interrupts()) session_->leave(left_by_application, false);
    return !callers_.may_begin().ok();
  });
  return here.status == Status::interrupted ? callers_.may_begin() : here;
}

// ---- shared state
// --------------------------------------------------------------------------------------------

Outcome PeerNode::Impl::synchronize(SyncRequest request, SyncInfo& info) {
  const Callers::Inside inside(callers_);
  if (!session_) return {Status::invalid_usage, "not connected"};
  const auto promise = std::make_shared<Promise<EndedSync>>();
  Callers::Sync sync(callers_, promise);
  if (!sync.begun().ok()) return sync.begun();
  const auto state = std::make_shared<PreparedState>();
  Outcome ready = wait_for_input(request);
  if (ready.ok()) ready = prepare(request.entries, *state);
  if (ready.status == Status::internal) session_->leave_because(failed_gpu(request));
  if (!ready.ok()) return ready;
  {
    const net::Loop::Hold hold(session_->loop());
    if (Outcome refused = callers_.may_begin(); !refused.ok()) return refused;
    sync.is_offered();
    session_->with_core([&] {
      session_->core().synchronize({.strategy = request.strategy,
                                    .revision = Revision{request.revision},
                                    .keys = state->keys,
                                    .content = state->digest.content,
                                    .whole = !mixture_.is(state->digest.content)},
                                   state, net::Loop::now());
    });
  }
  EndedSync& ended = session_->wait_for(*promise);
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

SyncProgress PeerNode::Impl::sync_progress() const {
  const std::lock_guard guard(session_changes_);
  return session_ ? session_->sync_progress() : SyncProgress{};
}

// ---- the end
// ---------------------------------------------------------------------------------------------

void PeerNode::Impl::interrupt(const std::string& why, bool on_purpose) {
  callers_.shut(why);
  PeerSession* session = nullptr;
  {
    const std::lock_guard guard(session_changes_);
    session = session_.get();
  }
  if (session != nullptr) session->leave(why, on_purpose);
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
    const net::Loop::Hold hold(session_->loop());
    session_->core().roll_back_done(ended);
  }
}

PeerNode::PeerNode(PeerOptions options) : impl_(std::make_unique<Impl>(options)) {}
PeerNode::~PeerNode() = default;
void PeerNode::interrupt() {
  impl_->interrupt();
}
void PeerNode::fall_out(const std::string& why) {
  impl_->interrupt(why, false);
}
Outcome PeerNode::may_go_on() const {
  return impl_->may_go_on();
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
