#include "node/callers.hpp"

#include <fmt/format.h>

#include <utility>

namespace pccl::node {

Callers::Inside::Inside(Callers& callers) : callers_(callers) {
  const std::lock_guard guard(callers_.mutex_);
  ++callers_.inside_;
}

Callers::Inside::~Inside() {
  const std::lock_guard guard(callers_.mutex_);
  if (--callers_.inside_ == 0) callers_.nobody_inside_.notify_all();
}

void Callers::shut(const std::string& why) {
  const std::lock_guard guard(mutex_);
  if (!shut_) shut_ = why;
}

bool Callers::anybody_inside() const {
  const std::lock_guard guard(mutex_);
  return inside_ > 0;
}

void Callers::wait_until_nobody_is_inside() {
  std::unique_lock guard(mutex_);
  nobody_inside_.wait(guard, [this] { return inside_ == 0; });
}

Outcome Callers::may_begin_now() const {
  return shut_ ? Outcome{Status::interrupted, *shut_} : Outcome{};
}

Outcome Callers::may_begin() const {
  const std::lock_guard guard(mutex_);
  return may_begin_now();
}

net::Takeover Callers::takeover() const {
  const std::lock_guard guard(mutex_);
  if (inside_ > 1) return net::Takeover::at_once;
  return ops_by_handle_.empty() ? net::Takeover::at_leisure : net::Takeover::soon;
}

Outcome Callers::begin_connect(const Waiting<Outcome>& promise) {
  const std::lock_guard guard(mutex_);
  Outcome may = may_begin_now();
  if (may.ok()) connect_ = promise;
  return may;
}

void Callers::end_connect(const Outcome& outcome) {
  const std::lock_guard guard(mutex_);
  if (connect_) std::exchange(connect_, nullptr)->deliver(outcome);
}

Outcome Callers::may_call(bool ops_must_be_awaited) const {
  if (Outcome shut = may_begin_now(); !shut.ok()) return shut;
  if (ops_must_be_awaited && !ops_by_tag_.empty())
    return {Status::pending_ops,
            fmt::format("{} async all-reduces have not been awaited, tag {} is one of them",
                        ops_by_tag_.size(), ops_by_tag_.begin()->first)};
  if (call_ || sync_)
    return {Status::invalid_usage, "another call is waiting on this communicator"};
  return {};
}

Outcome Callers::begin_call(wire::CallKind what, const Waiting<CallEnded>& promise) {
  const std::lock_guard guard(mutex_);
  Outcome may = may_call(what != wire::CallKind::peers_pending);
  if (may.ok()) call_ = promise;
  return may;
}

bool Callers::end_call(CallEnded ended) {
  const std::lock_guard guard(mutex_);
  if (!call_) return false;
  std::exchange(call_, nullptr)->deliver(std::move(ended));
  return true;
}

Outcome Callers::begin_sync(const Waiting<EndedSync>& promise) {
  const std::lock_guard guard(mutex_);
  Outcome may = may_call(true);
  if (may.ok()) sync_ = promise;
  return may;
}

bool Callers::end_sync(EndedSync ended) {
  const std::lock_guard guard(mutex_);
  if (!sync_) return false;
  std::exchange(sync_, nullptr)->deliver(std::move(ended));
  return true;
}

Outcome Callers::may_launch(std::uint64_t tag) const {
  const std::lock_guard guard(mutex_);
  if (Outcome shut = may_begin_now(); !shut.ok()) return shut;
  if (ops_by_tag_.contains(tag))
    return {Status::invalid_argument, fmt::format("tag {} is in flight", tag)};
  return {};
}

void Callers::launched(std::uint64_t tag, OpHandle handle, const Waiting<EndedOp>& promise) {
  const std::lock_guard guard(mutex_);
  ops_by_tag_[tag] = promise;
  if (const auto ended = ended_in_launch_.extract(handle))
    promise->deliver(std::move(ended.mapped()));
  else
    ops_by_handle_[handle] = promise;
}

bool Callers::end_op(OpHandle handle, EndedOp ended) {
  const std::lock_guard guard(mutex_);
  const auto waiting = ops_by_handle_.extract(handle);
  if (waiting)
    waiting.mapped()->deliver(std::move(ended));
  else
    ended_in_launch_.emplace(handle, std::move(ended));
  return !waiting.empty();
}

Callers::Waiting<EndedOp> Callers::op(std::uint64_t tag) const {
  const std::lock_guard guard(mutex_);
  const auto found = ops_by_tag_.find(tag);
  return found == ops_by_tag_.end() ? nullptr : found->second;
}

void Callers::forget_op(std::uint64_t tag) {
  const std::lock_guard guard(mutex_);
  ops_by_tag_.erase(tag);
}

std::vector<Callers::Waiting<EndedOp>> Callers::unawaited_ops() const {
  const std::lock_guard guard(mutex_);
  std::vector<Waiting<EndedOp>> ops;
  for (const auto& [tag, op] : ops_by_tag_) ops.push_back(op);
  return ops;
}

Attributes Callers::attributes() const {
  const std::lock_guard guard(mutex_);
  return attributes_;
}

void Callers::set_attributes(const Attributes& attributes) {
  const std::lock_guard guard(mutex_);
  attributes_ = attributes;
}

}  // namespace pccl::node
