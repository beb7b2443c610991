// Who waits for a node's sockets: its loop thread, or a caller that has nothing better to do. The
// answer to a caller then wakes the caller itself, and not a thread that has to wake the caller.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace pccl::net {

class LoopTurns {
 public:
  // ---- the loop thread
  // Waits until no caller runs the loop, and none has for the length of a lease.
  void take();
  void give();

  // ---- a caller
  bool try_take_as_caller();  // false: somebody else runs the loop
  // `at_once`: somebody depends on the loop, so its thread takes over now and not after the lease.
  void give_as_caller(bool at_once);

  // ---- whoever works on the node's state
  // A caller was answered and will probably call again: the loop thread steps back for one lease.
  void lend() { lent_ = true; }
  bool lent() const { return lent_; }
  void recall();                     // ... and does not after all, if nobody runs the loop
  bool another_caller_runs() const;  // a caller, and not this thread

 private:
  enum class Runner { nobody, loop_thread, caller };

  // Long beside the time between two calls of a tight loop, short beside everything that a peer
  // has to answer in time.
  static constexpr std::chrono::milliseconds lease{1};

  mutable std::mutex mutex_;
  std::condition_variable given_;
  Runner runner_ = Runner::nobody;
  std::thread::id caller_;
  bool called_in_lease_ = false;
  bool recalled_ = false;
  bool waits_for_caller_ = false;
  std::atomic<bool> lent_ = false;
};

}  // namespace pccl::net
