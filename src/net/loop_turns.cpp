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
    given_.wait_for(guard, ops_in_flight_ ? lease_beside_ops : lease, [this] { return recalled_; });
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

void LoopTurns::give_as_caller(Takeover takeover) {
  const std::lock_guard guard(mutex_);
  runner_ = Runner::nobody;
  ops_in_flight_ = takeover != Takeover::at_leisure;
  recalled_ = recalled_ || takeover == Takeover::at_once;
  if (recalled_ || waits_for_caller_) given_.notify_all();
}

void LoopTurns::note_ops_in_flight() {
  const std::lock_guard guard(mutex_);
  ops_in_flight_ = true;
}

bool LoopTurns::nobody_runs() const {
  const std::lock_guard guard(mutex_);
  return runner_ == Runner::nobody;
}

bool LoopTurns::another_caller_runs() const {
  const std::lock_guard guard(mutex_);
  return runner_ == Runner::caller && caller_ != std::this_thread::get_id();
}

}  // namespace pccl::net
