#include "collective/exchange.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/mutant.hpp"
#include "base/status.hpp"
#include "collective/device_ring.hpp"
#include "collective/ring_all_reduce.hpp"

namespace pccl::collective {

Exchange::Exchange(std::function<void(const OpKey&)> on_finished, const EagerBudget& eager,
                   std::function<void()> on_gpu_news)
    : on_finished_(std::move(on_finished)), on_gpu_news_(std::move(on_gpu_news)), eager_(eager) {}

void Exchange::enter_epoch(Epoch epoch) {
  PCCL_INVARIANT(ops_.empty());
  epoch_ = epoch;
  eager_bytes_ = 0;
  next_launch_.clear();
  sendable_.clear();
  waiting_.clear();
  credit_due_.clear();
  parked_.drop_before(epoch);
  std::erase_if(parked_credit_, [&](const auto& credit) { return credit.first.epoch < epoch; });
}

std::shared_ptr<RingOp> Exchange::start(const OpKey& key, const plan::RingSchedule& schedule,
                                        const Operand& operand) {
  note_launch(key);
  Op& op = ops_[key];
  if (operand.workspace)
    op.reduce =
        std::make_shared<DeviceRing>(schedule, operand, pinned(*operand.workspace), on_gpu_news_);
  else
    op.reduce = std::make_shared<RingAllReduce>(schedule, operand, scratch_, rollback_);
  const auto reduce = op.reduce;
  const bool known_to_others = parked_.holds(key) || parked_credit_.contains(key);
  if (!known_to_others && has_to_wait(*reduce)) {
    op.waits = true;
    waiting_.push_back(key);
    return reduce;
  }
  deliver_parked(key, *reduce);
  offer_eagerly(op);
  if (const auto credit = parked_credit_.extract(key)) credit_arrived({key, credit.mapped()});
  if (ops_.contains(key)) update(key);
  return reduce;
}

// Of ops that fill a short link each for itself, several at once only push each other's waves out
// of the caches. Such an op waits while one that has no more left is being sent. It begins then, or
// when a neighbour has begun it: so peers that launch in different orders do not wait for each
// other.
bool Exchange::has_to_wait(const RingOp& reduce) const {
  return reduce.fills_short_link() && std::ranges::any_of(ops_, [&](const auto& entry) {
           const Op& other = entry.second;
           const std::uint64_t left = other.reduce->bytes_to_claim();
           return !other.waits && other.reduce->input_is_here() &&
                  other.reduce->fills_short_link() && left > 0 && left <= reduce.bytes_to_claim() &&
                  other.reduce.get() != &reduce;
         });
}

void Exchange::begin(const OpKey& key, Op& op) {
  if (!std::exchange(op.waits, false)) return;
  std::erase(waiting_, key);
  offer_eagerly(op);
  update(key);
}

void Exchange::begin_who_waits() {
  while (!waiting_.empty()) {
    const OpKey key = waiting_.front();
    Op& op = ops_.at(key);
    if (has_to_wait(*op.reduce)) return;
    begin(key, op);
  }
}

void Exchange::pass_over(const OpKey& key) {
  note_launch(key);
  forget_parked(key);
}

void Exchange::cancel(const OpKey& key) {
  const auto found = ops_.find(key);
  // What was sent eagerly stays counted: the next rank may keep it parked until the next epoch.
  if (found != ops_.end()) ops_.erase(found);
  std::erase(waiting_, key);
  forget_parked(key);
  begin_who_waits();
}

void Exchange::forget_parked(const OpKey& key) {
  parked_.drop(key);
  parked_credit_.erase(key);
}

// A segment that does not fit the local schedule comes from an op that the peers describe
// differently: the master's verdict tells the application.
void Exchange::deliver_parked(const OpKey& key, RingOp& reduce) {
  parked_.take(
      key, [&](std::uint32_t position, std::span<const std::byte> bytes, BlockPool::Block& block) {
        if (!reduce.accepts(position, static_cast<std::uint32_t>(bytes.size()))) return;
        if (block && reduce.arrives_in_block(position)) {
          reduce.expect_in(position, std::move(block));
        } else {
          reduce.expect(position);
          if (!bytes.empty())
            std::memcpy(reduce.destination(position).data(), bytes.data(), bytes.size());
        }
        reduce.arrived(position);
      });
}

void Exchange::note_launch(const OpKey& key) {
  PCCL_INVARIANT(key.epoch == epoch_);
  Launch& next = next_launch_[key.tag];
  next = std::max(next, key.launch.next());
}

bool Exchange::launched(const OpKey& key) const {
  if (key.epoch != epoch_) return key.epoch < epoch_;
  const auto found = next_launch_.find(key.tag);
  return found != next_launch_.end() && key.launch < found->second;
}

// ---- GPUs
// ------------------------------------------------------------------------------------------------

BlockPool& Exchange::pinned(const device::Workspace& workspace) {
  if (!pinned_) pinned_.emplace(workspace.gpu);
  return pinned_->pool;
}

void Exchange::collect() {
  std::vector<OpKey> moved;
  for (auto& [key, op] : ops_)
    if (op.reduce->collect()) moved.push_back(key);
  for (const OpKey& key : moved)
    if (const auto op = ops_.find(key); op != ops_.end() && !op->second.waits) update(key);
}

std::string Exchange::gpu_failure() {
  for (auto& [key, op] : ops_)
    if (std::string why = op.reduce->failure(); !why.empty()) return why;
  return {};
}

// ---- to the next rank
// ------------------------------------------------------------------------------------

// The first segments go before the next rank has launched the op: it parks them within a budget
// that both know.
void Exchange::offer_eagerly(Op& op) {
  std::uint32_t limit = op.reduce->limit();
  while (limit < op.reduce->positions()) {
    const std::size_t cost = limits::eager_cost(op.reduce->segment_bytes_at(limit));
    if (op.eager_bytes + cost > eager_.of_op || eager_bytes_ + cost > eager_.of_link) break;
    eager_bytes_ += cost;
    op.eager_bytes += cost;
    ++limit;
  }
  op.reduce->raise_limit(limit);
}

// The next rank has launched the op.
void Exchange::release_eager(Op& op) {
  eager_bytes_ -= op.eager_bytes;
  op.eager_bytes = 0;
}

std::optional<Segment> Exchange::next_segment() {
  while (!sendable_.empty()) {
    const OpKey key = sendable_.take();
    const auto found = ops_.find(key);
    if (found == ops_.end()) continue;
    Op& op = found->second;
    op.queued = false;
    if (!op.reduce->can_send()) continue;
    const std::uint32_t position = op.reduce->claim();
    queue_sending(key, op);
    if (!waiting_.empty() && op.reduce->bytes_to_claim() == 0) begin_who_waits();
    return Segment{key, position, op.reduce->segment_bytes_at(position)};
  }
  return std::nullopt;
}

std::span<const std::byte> Exchange::payload(const Segment& segment) const {
  const auto found = ops_.find(segment.op);
  return found == ops_.end() ? std::span<const std::byte>{}
                             : found->second.reduce->payload(segment.position);
}

void Exchange::segment_sent(const Segment& segment) {
  const auto found = ops_.find(segment.op);
  if (found == ops_.end()) return;
  found->second.reduce->sent(segment.position);
  update(segment.op);
}

void Exchange::credit_arrived(const Credit& credit) {
  const auto found = ops_.find(credit.op);
  if (found == ops_.end()) {
    // The next rank has launched first. A peer that keeps the protocol has no more ops than the
    // limit.
    if (!launched(credit.op) && parked_credit_.size() < limits::ops_in_flight) {
      std::uint32_t& limit = parked_credit_[credit.op];
      limit = std::max(limit, credit.limit);
    }
    return;
  }
  Op& op = found->second;
  begin(credit.op, op);
  release_eager(op);
  op.reduce->raise_limit(credit.limit);
  update(credit.op);
}

// ---- from the previous rank
// ------------------------------------------------------------------------------

bool Exchange::segment_begins(const Segment& segment, std::string& why) {
  const auto found = find_op(segment.op);
  if (found != ops_.end()) {
    begin(segment.op, found->second);
    if (segment.position >= found->second.announced_limit &&
        !within_eager_budget(found->second, segment)) {
      why = fmt::format("segment {} of {} without credit", segment.position, to_string(segment.op));
      return false;
    }
    if (!found->second.reduce->accepts(segment.position, segment.length)) return true;  // discarded
    found->second.reduce->expect(segment.position);
    found->second.arriving.insert(segment.position);
    return true;
  }
  if (launched(segment.op)) return true;  // of an op that is over: discarded
  if (parked_.expect(segment.op, segment.position, segment.length)) return true;
  why = fmt::format("segment {} of {}, {} bytes, before its launch here is over the eager budget",
                    segment.position, to_string(segment.op), segment.length);
  return false;
}

// What a sender may send before credit, seen from this side; each segment may take a scratch block.
bool Exchange::within_eager_budget(Op& op, const Segment& segment) {
  op.eager_bytes_received += limits::eager_cost(segment.length);
  return op.eager_bytes_received <= eager_.of_op;
}

std::span<std::byte> Exchange::place_at(const Segment& segment) {
  const auto found = find_op(segment.op);
  if (found != ops_.end() && found->second.arriving.contains(segment.position))
    return found->second.reduce->destination(segment.position);
  return parked_.destination(segment.op, segment.position);
}

// A place is only for frames of its own length: of two lanes that claim one position, each goes on
// from the offset that it has reached in its own frame.
std::span<std::byte> Exchange::destination(const Segment& segment) {
  const auto place = place_at(segment);
  return place.size() == segment.length ? place : std::span<std::byte>{};
}

std::size_t Exchange::absorb(const Segment& segment, std::size_t offset,
                             std::span<const std::byte> here) {
  const auto found = find_op(segment.op);
  if (found == ops_.end() || !found->second.arriving.contains(segment.position)) return 0;
  RingOp& reduce = *found->second.reduce;
  if (segment.length != reduce.destination(segment.position).size()) return 0;
  return reduce.absorb(segment.position, offset, here);
}

void Exchange::segment_arrived(const Segment& segment) {
  if (place_at(segment).size() != segment.length) return;  // it was discarded
  const auto found = find_op(segment.op);
  if (found == ops_.end()) {
    parked_.arrived(segment.op, segment.position);
    return;
  }
  RingOp& reduce = *found->second.reduce;
  if (found->second.arriving.erase(segment.position) > 0) {
    reduce.arrived(segment.position);
  } else if (parked_.contains(segment.op,
                              segment.position)) {  // the launch came while it was half-way
    parked_.arrived(segment.op, segment.position);
    deliver_parked(segment.op, reduce);
  }
  update(found->first);
}

std::map<OpKey, Exchange::Op>::iterator Exchange::find_op(const OpKey& key) {
  if (mutant(Mutant::stale_segment_accepted))
    return std::find_if(ops_.begin(), ops_.end(),
                        [&](const auto& op) { return op.first.tag == key.tag; });
  return ops_.find(key);
}

std::optional<Credit> Exchange::next_credit() {
  while (!credit_due_.empty()) {
    const OpKey key = credit_due_.front();
    credit_due_.pop_front();
    const auto found = ops_.find(key);
    if (found == ops_.end()) continue;
    Op& op = found->second;
    op.credit_queued = false;
    const std::uint32_t limit = op.reduce->receive_limit();
    if (limit <= op.announced_limit && !op.announce_again) continue;
    op.announced_limit = limit;
    op.announce_again = false;
    return Credit{key, limit};
  }
  return std::nullopt;
}

void Exchange::previous_link_replaced() {
  for (auto& [key, op] : ops_) {
    if (op.waits) continue;
    op.announce_again = true;
    queue_credit(key, op);
  }
}

void Exchange::queue_sending(const OpKey& key, Op& op) {
  if (op.queued || !op.reduce->can_send()) return;
  op.queued = true;
  sendable_.put(key, op.reduce->bytes_to_claim());
}

void Exchange::queue_credit(const OpKey& key, Op& op) {
  if (!std::exchange(op.credit_queued, true)) credit_due_.push_back(key);
}

// By value: the op that the key may belong to can end here.
void Exchange::update(const OpKey key) {
  Op& op = ops_.at(key);
  queue_sending(key, op);
  // A credit frame for every few segments, not for each, unless the ring could stand still without
  // it.
  const std::uint32_t limit = op.reduce->receive_limit();
  const std::uint32_t step = limits::ring_depth / 2;
  if (limit > op.announced_limit &&
      (op.announced_limit < op.reduce->vital_limit() || limit - op.announced_limit >= step ||
       limit == op.reduce->positions()))
    queue_credit(key, op);
  if (op.reduce->finished()) {
    release_eager(op);
    // The roll-back copies stay with the caller's reference until the verdict.
    ops_.erase(key);
    on_finished_(key);
    begin_who_waits();
  }
}

}  // namespace pccl::collective
