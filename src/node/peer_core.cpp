#include "node/peer_core.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/limits.hpp"

namespace pccl::node {

namespace {

collective::Segment segment_of(const wire::BulkHeader& frame) {
  return {frame.op, frame.position, frame.length};
}

// Calls the overload for the alternative that a variant holds.
template <typename... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <typename... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;  // clang 16 does not know it from the aggregate

}  // namespace

PeerCore::PeerCore(const membership::PeerSettings& settings, PeerIo& io, const AlgorithmWish& wish,
                   const collective::EagerBudget& eager)
    : io_(io),
      wish_(wish),
      machine_(settings),
      exchange_([this](const OpKey& op) { finished_.push_back(op); }, eager, news_) {}

PeerCore::~PeerCore() {
  revoke_gpu_news();
}

void PeerCore::handle(const membership::PeerEvent& event, Instant now) {
  if (transfer_) transfer_->time_is(now);
  run(machine_.step(event, now));
  settle(now);
}

void PeerCore::settle(Instant now) {
  if (machine_.standing() == membership::PeerMachine::Standing::gone)
    tell(stars_.end_held_back(machine_.unusable()));
  while (!finished_.empty()) {
    const OpKey op = finished_.front();
    finished_.pop_front();
    run(machine_.step(membership::OpFinished{op}, now));
  }
  if (!transfer_) return;
  transfer_->time_is(now);
  if (const std::optional<Outcome> fetched = transfer_->take_outcome())
    run(machine_.step(membership::StateFetched{transfer_call_, *fetched}, now));
}

void PeerCore::synchronize(const wire::SyncOffer& offer, std::shared_ptr<const PreparedState> state,
                           Instant now) {
  transfer_.emplace(std::move(state), news_);
  handle(membership::SyncRequested{offer}, now);
}

void PeerCore::check_transfer(Instant now, Duration patience) {
  if (!transfer_) return;
  transfer_->time_is(now);
  transfer_->check_gpus();
  for (const auto& [holder, why] : transfer_->sources_to_drop(patience))
    io_.drop_source(holder, why);
  settle(now);
}

OpHandle PeerCore::launch(const OpRequest& request, Instant now) {
  const OpHandle handle = std::exchange(next_handle_, next_handle_.next());
  const std::size_t bytes = request.count * size_of(request.operand.type);
  const Algorithm algorithm = plan::choose_algorithm(
      bytes, static_cast<bool>(request.operand.quantization), group(), wish_);
  membership::LaunchRequested launch{
      handle,
      request.tag,
      {request.count, request.operand.type, request.operand.op, algorithm,
       request.operand.quantization.algorithm, request.operand.quantization.code},
      {}};
  if (algorithm == Algorithm::star && request.operand.workspace) {
    stars_.hold_back(
        std::move(launch),
        std::make_unique<collective::DeviceStar>(
            request.operand, bytes, exchange_.pinned(*request.operand.workspace), news_),
        request.operand.workspace, machine_.seen().epoch);
    return handle;
  }
  Op& op = ops_[handle];
  op.request = request;
  op.algorithm = algorithm;
  if (algorithm == Algorithm::star && bytes > 0) {
    launch.input.resize(bytes);
    std::memcpy(launch.input.data(), request.operand.send, bytes);
  }
  this->handle(std::move(launch), now);
  return handle;
}

plan::Group PeerCore::group() const {
  return {static_cast<std::uint32_t>(machine_.ring().size()), machine_.ring_rtt()};
}

std::uint32_t PeerCore::star_bytes() const {
  return static_cast<std::uint32_t>(plan::largest_star(group(), wish_));
}

std::size_t PeerCore::pairwise_bytes() const {
  return plan::largest_pairwise(group(), wish_);
}

void PeerCore::roll_back_done(EndedOp& ended) {
  if (ended.ring) ended.ring->forget_way_back();
  ended.ring.reset();
  ended.star.reset();
}

// ---- GPUs
// ------------------------------------------------------------------------------------------------

void PeerCore::take_gpu_news(Instant now) {
  exchange_.collect();
  auto [launches, ended] = stars_.go_on(machine_.seen().epoch);
  for (membership::LaunchRequested& launch : launches) handle(std::move(launch), now);
  tell(std::move(ended));
  if (transfer_) transfer_->check_gpus();
  settle(now);
}

void PeerCore::check_gpus() {
  auto [why, ended] = stars_.check();
  tell(std::move(ended));
  if (why.empty()) why = exchange_.gpu_failure();
  if (!why.empty()) io_.gpu_has_failed(why);
}

void PeerCore::tell(std::vector<DeviceStars::Ended> ended) {
  for (auto& [handle, op] : ended) io_.op_ended(handle, std::move(op));
}

void PeerCore::run(const membership::PeerEffects& effects) {
  using namespace membership;
  for (const PeerEffect& effect : effects)
    std::visit(Overloaded{
                   [&](const SendToMaster& message) { send(message); },
                   [&](const CloseMaster&) { io_.close_master(); },
                   [&](const RedialMaster& redial) { io_.redial_master(redial.pause); },
                   [&](const Relink& relink) { io_.relink(relink); },
                   [&](const KeepLinks& keep) { io_.keep_links(keep); },
                   [&](const EnterEpoch& enter) { exchange_.enter_epoch(enter.epoch); },
                   [&](const StartRing& start) { start_ring(start); },
                   [&](const PassOver& pass) { exchange_.pass_over(pass.op); },
                   [&](const CancelRing& cancel) { exchange_.cancel(cancel.op); },
                   [&](const CompleteOp& complete) { end_op(complete); },
                   [&](const CompleteConnect& complete) { io_.connect_ended(complete.outcome); },
                   [&](const CompleteCall& complete) {
                     io_.call_ended(complete.outcome, complete.peers_pending);
                   },
                   [&](const MoveState& move) {
                     transfer_call_ = move.elected.call;
                     if (transfer_->elected() && *transfer_->elected() != move.elected.content) {
                       io_.close_state();
                       transfer_->start_over();
                     }
                     transfer_->move(move);
                     io_.move_state(move);
                   },
                   [&](const DescribeState& wanted) { describe_state(wanted); },
                   [&](const CompleteSync& complete) { end_sync(complete); },
                   [&](const MeasurePath& measure) { io_.measure_path(measure); },
                   [&](const StopMeasuring&) { io_.stop_measuring(); },
                   [&](const PeerWakeAt& wake) { io_.wake_at(wake.at); },
                   [&](const PeerNote& note) { io_.note(note.text); },
               },
               effect);
}

// The machine knows that ops run, the data path how far they are: heartbeats tell of the oldest
// one.
void PeerCore::send(const membership::SendToMaster& send) {
  const auto* const beat = std::get_if<wire::Heartbeat>(&send.message);
  const auto running = std::find_if(ops_.begin(), ops_.end(), [](const auto& entry) {
    return entry.second.ring && !entry.second.ring->finished();
  });
  if (beat == nullptr || running == ops_.end()) return io_.send_to_master(send.term, send.message);
  wire::Heartbeat told = *beat;
  told.progress = {running->second.key, running->second.ring->progress_per_mille()};
  io_.send_to_master(send.term, told);
}

void PeerCore::start_ring(const membership::StartRing& start) {
  Op& op = ops_.at(start.handle);
  const auto schedule =
      collective::schedule_of(start.rank, start.world, op.request.count, op.request.operand,
                              start.rtt, op.algorithm == Algorithm::pairwise);
  op.key = start.op;
  op.ring = exchange_.start(start.op, schedule, op.request.operand);
}

void PeerCore::end_op(const membership::CompleteOp& complete) {
  if (stars_.contains(complete.handle)) {
    if (auto ended = stars_.end(complete)) io_.op_ended(ended->first, std::move(ended->second));
    return;
  }
  const Op op = std::move(ops_.extract(complete.handle).mapped());
  EndedOp ended{.outcome = complete.outcome,
                .world_size = complete.world_size,
                .ring = op.ring,
                .workspace = op.request.operand.workspace};
  if (op.ring) {
    ended.tx_bytes = op.ring->tx_bytes();
    ended.rx_bytes = op.ring->rx_bytes();
  } else if (complete.outcome.ok()) {
    ended.tx_bytes = ended.rx_bytes = complete.result.size();
    if (!complete.result.empty())
      std::memcpy(op.request.operand.receive, complete.result.data(), complete.result.size());
  }
  io_.op_ended(complete.handle, std::move(ended));
}

// As many entries as fit into half a control frame.
void PeerCore::describe_state(const membership::DescribeState& wanted) {
  const auto& all = transfer_->state().entries;
  wire::StateDescribed described{
      .call = wanted.call, .total = all.size(), .from = wanted.from, .entries = {}};
  std::size_t bytes = 0;
  for (std::size_t index = wanted.from; index < all.size(); ++index) {
    const wire::StateEntry& entry = all[index];
    bytes += entry.name.size() + sizeof(wire::StateEntry);
    if (bytes > limits::control_frame_bytes / 2) break;
    described.entries.push_back(entry);
  }
  io_.send_to_master(machine_.term(), described);
}

// The lanes go before the memory that they read and write is the caller's again.
void PeerCore::end_sync(const membership::CompleteSync& complete) {
  transfer_->wait_for_gpus();
  EndedSync ended{complete.outcome,      complete.revision,     transfer_->tx_bytes(),
                  transfer_->rx_bytes(), transfer_->half_way(), transfer_->incomplete_entries()};
  // Of this peer only; the run has gone on without it, or has failed in its own words.
  if (!ended.outcome.ok() && !transfer_->gpu_error().empty())
    ended.outcome = {Status::internal, transfer_->gpu_error()};
  io_.close_state();
  transfer_.reset();
  io_.sync_ended(std::move(ended));
}

// ---- lanes
// -----------------------------------------------------------------------------------------------

std::optional<wire::BulkHeader> PeerCore::Outgoing::next_frame() {
  const auto segment = exchange_.next_segment();
  if (!segment) return std::nullopt;
  return wire::BulkHeader{wire::BulkKind::segment, segment->op, segment->position, segment->length};
}

std::span<const std::byte> PeerCore::Outgoing::payload(const wire::BulkHeader& frame,
                                                       std::size_t offset) {
  const auto whole = exchange_.payload(segment_of(frame));
  return whole.empty() ? whole : whole.subspan(offset);
}

void PeerCore::Outgoing::frame_sent(const wire::BulkHeader& frame) {
  exchange_.segment_sent(segment_of(frame));
}

bool PeerCore::Outgoing::frame_begins(const wire::BulkHeader& frame, std::string& why) {
  if (frame.kind == wire::BulkKind::credit) return true;
  why = "protocol error: segments come from the previous rank, not from the next";
  return false;
}

void PeerCore::Outgoing::frame_arrived(const wire::BulkHeader& frame) {
  exchange_.credit_arrived({frame.op, frame.position});
}

std::optional<wire::BulkHeader> PeerCore::Incoming::next_frame() {
  const auto credit = exchange_.next_credit();
  if (!credit) return std::nullopt;
  return wire::BulkHeader{wire::BulkKind::credit, credit->op, credit->limit, 0};
}

bool PeerCore::Incoming::frame_begins(const wire::BulkHeader& frame, std::string& why) {
  if (frame.kind == wire::BulkKind::segment)
    return exchange_.segment_begins(segment_of(frame), why);
  why = "protocol error: credit comes from the next rank, not from the previous";
  return false;
}

std::span<std::byte> PeerCore::Incoming::destination(const wire::BulkHeader& frame,
                                                     std::size_t offset) {
  const auto whole = exchange_.destination(segment_of(frame));
  return whole.empty() ? whole : whole.subspan(offset);
}

void PeerCore::Incoming::frame_arrived(const wire::BulkHeader& frame) {
  exchange_.segment_arrived(segment_of(frame));
}

std::size_t PeerCore::Incoming::absorb(const wire::BulkHeader& frame, std::size_t offset,
                                       std::span<const std::byte> here) {
  return exchange_.absorb(segment_of(frame), offset, here);
}

}  // namespace pccl::node
