#include "net/loop_turns.hpp"

namespace pccl::net {

void LoopTurns::take() {
  std::unique_lock guard(mutex_);
  const auto wait_for_caller = [&] {
    waits_for_caller_ = true;
    given_.wait(guard, [this] { return runner_ == Runner::nobody; });
    waits_for_caller_ = false;
  };
  bool may_be_called = lent_;
  while (may_be_called && !recalled_) {
    called_in_lease_ = false;
    given_.wait_for(guard, lease, [this] { return recalled_; });
    if (runner_ == Runner::caller && !recalled_)
      wait_for_caller();
    else
      may_be_called = called_in_lease_;
  }
  wait_for_caller();
  runner_ = Runner::loop_thread;
  lent_ = recalled_ = false;
}

void LoopTurns::give() {
  const std::lock_guard guard(mutex_);
  runner_ = Runner::nobody;
}

bool LoopTurns::try_take_as_caller() {
  const std::lock_guard guard(mutex_);
  if (runner_ != Runner::nobody) return false;
  runner_ = Runner::caller;
  caller_ = std::this_thread::get_id();
  called_in_lease_ = true;
  return true;
}

void LoopTurns::give_as_caller(bool at_once) {
  const std::lock_guard guard(mutex_);
  runner_ = Runner::nobody;
  recalled_ = recalled_ || at_once;
  if (at_once || waits_for_caller_) given_.notify_all();
}

void LoopTurns::recall() {
  const std::lock_guard guard(mutex_);
  if (runner_ != Runner::nobody) return;
  recalled_ = true;
  given_.notify_all();
}

bool LoopTurns::another_caller_runs() const {
  const std::lock_guard guard(mutex_);
  return runner_ == Runner::caller && caller_ != std::this_thread::get_id();
}

}  // namespace pccl::net
