// The event loop of one node: one thread at a time waits for sockets and timers (Asio's reactor,
// hidden in loop.cpp and stream.cpp). Whoever works on the node's state holds the loop: the thread
// that runs a handler, or a caller's thread in between, which so submits work without a hand-over
// between threads.
//
// A caller that waits for an answer may run the loop itself: then the answer wakes the caller, and
// not the loop thread that would have to wake the caller.
#pragma once

#include <functional>
#include <memory>

#include "base/floating_point.hpp"
#include "base/time.hpp"
#include "net/loop_turns.hpp"

namespace pccl::net {

class Loop {
 public:
  Loop();
  ~Loop();  // no thread runs it any more; pending handlers are dropped
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void run();            // until stop(); the loop thread's body
  void stop() noexcept;  // any thread, and a signal handler

  // Runs the loop on a caller's thread until `done`, which is asked between handlers, without the
  // loop held. Returns at once when another thread runs it. `takeover` is asked at the end.
  void run_until(const std::function<bool()>& done, const std::function<Takeover()>& takeover);
  // Holding the loop: a caller was answered. It will probably call again and run the loop itself.
  void caller_answered(Takeover takeover);

  // Holding the loop: an op was launched that nobody waits for yet. A thread that runs the loop is
  // sure to come soon.
  void leave_work();
  // Holding the loop: runs `task`, holding it, after all that is ready now, or before the loop
  // sleeps, but within a millisecond or so where it never does. When nobody runs the loop, whoever
  // does next begins with what is to be done soon. When another thread runs it, which may be
  // asleep: at once.
  void soon(std::function<void()> task);
  void before_sleep(std::function<void()> task);

  // Owns the loop for its lifetime: waits for the handler that is running, first come first served.
  // Arithmetic in it is the standard one.
  class Hold {
   public:
    explicit Hold(Loop& loop);
    ~Hold();
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

   private:
    StandardFloatingPoint arithmetic_;
    Loop& loop_;
  };

  static Instant now() { return std::chrono::steady_clock::now(); }
  // One timer per loop user: runs `task` (holding the loop) at `at`; a later call replaces an
  // earlier one.
  class Timer {
   public:
    explicit Timer(Loop& loop);
    ~Timer();
    void set(Instant at, std::function<void()> task);
    void cancel();

   private:
    struct State;
    std::shared_ptr<State> state_;
  };

  // Runs `task` in a later turn of the loop, holding it, and wakes who sleeps there. Any thread.
  void post(std::function<void()> task);

  struct Asio;  // loop_asio.hpp, for the .cpp files of this room
  Asio& asio() { return *asio_; }

 private:
  class LeftTasks;

  bool poll_one();
  bool run_one();
  bool runs_here() const;
  void run_left(LeftTasks& tasks);

  std::unique_ptr<Asio> asio_;
};

}  // namespace pccl::net
