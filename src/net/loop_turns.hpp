// Who waits for a node's sockets: its loop thread, or a caller that has nothing better to do. The
// answer to a caller then wakes the caller itself, and not a thread that has to wake the caller.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace pccl::net {

// How soon the loop thread is to take over from a caller that leaves.
enum class Takeover {
  at_leisure,  // nothing depends on the loop but what all peers owe each other
  soon,        // ops are in flight, and probably this caller waits for one of them next
  at_once,     // another thread waits
};

class LoopTurns {
 public:
  // ---- the loop thread
  // Waits until no caller runs the loop, and none has for the length of a lease.
  void take();
  void give();

  // ---- a caller
  bool try_take_as_caller();  // false: somebody else runs the loop
  void give_as_caller(Takeover takeover);

  // ---- whoever works on the node's state
  // A caller was answered and will probably call again: the loop thread steps back for one lease.
  void lend() { lent_ = true; }
  bool lent() const { return lent_; }
  void note_ops_in_flight();         // beside a loop that nobody may be running
  bool another_caller_runs() const;  // a caller, and not this thread
  bool nobody_runs() const;          // for the moment: the loop thread is sure to come

 private:
  enum class Runner { nobody, loop_thread, caller };

  // Long beside the time between two calls of a tight loop, short beside everything that a peer
  // has to answer in time; with ops in flight, beside what their segments take.
  static constexpr std::chrono::microseconds lease{1000}, lease_beside_ops{100};

  mutable std::mutex mutex_;
  std::condition_variable given_;
  Runner runner_ = Runner::nobody;
  std::thread::id caller_;
  bool called_in_lease_ = false;
  bool recalled_ = false, ops_in_flight_ = false;
  bool waits_for_caller_ = false;
  std::atomic<bool> lent_ = false;
};

}  // namespace pccl::net
