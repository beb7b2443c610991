// The event loop of one node: one thread that waits for sockets and timers (Asio's reactor, hidden
// in loop.cpp and stream.cpp). Whoever works on the node's state holds the loop; the loop thread
// holds it while it runs a handler, a caller's thread may hold it in between to submit work without
// a hand-over between threads.
#pragma once

#include <functional>
#include <memory>

#include "base/time.hpp"

namespace pccl::net {

class Loop {
 public:
  Loop();
  ~Loop();  // no thread runs it any more; pending handlers are dropped
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void run();            // until stop(); the loop thread's body
  void stop() noexcept;  // any thread, and a signal handler

  // Owns the loop for its lifetime: waits for the handler that is running, first come first served.
  class Hold {
   public:
    explicit Hold(Loop& loop);
    ~Hold();
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

   private:
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

  // Runs `task` soon on the loop thread, holding the loop. Any thread.
  void post(std::function<void()> task);

  struct Asio;  // loop_asio.hpp, for the .cpp files of this room
  Asio& asio() { return *asio_; }

 private:
  std::unique_ptr<Asio> asio_;
};

}  // namespace pccl::net
