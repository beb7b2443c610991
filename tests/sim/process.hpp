// A process that can be killed (nothing of it happens any more), started again, and frozen (what
// comes to it waits in its kernel until it is thawed).
#pragma once

#include <deque>
#include <utility>

#include "base/rng.hpp"
#include "sim/timeline.hpp"

namespace pccl::sim {

class Process {
 public:
  explicit Process(Timeline& timeline) : timeline_(timeline) {}
  virtual ~Process() = default;
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  bool alive() const { return alive_; }
  bool frozen() const { return frozen_; }
  bool running() const { return alive_ && !frozen_; }

  void run(Action action) {
    if (!alive_) return;
    if (frozen_ || !waiting_.empty())
      waiting_.push_back(std::move(action));
    else
      action();
  }
  void later(Duration delay, Action action) {
    later_at(timeline_.now() + delay, std::move(action));
  }
  void later_at(Instant when, Action action) {
    timeline_.at(when, [this, life = life_, action = std::move(action)]() mutable {
      if (life == life_) run(std::move(action));
    });
  }

  void freeze() { frozen_ = true; }
  void thaw() {
    frozen_ = false;
    catch_up();
  }

 protected:
  void die() {
    alive_ = false;
    waiting_.clear();
  }
  void begin_again() {
    alive_ = true;
    frozen_ = false;
    ++life_;
  }

 private:
  // One after the other, as events of their own.
  void catch_up() {
    if (!running() || waiting_.empty()) return;
    timeline_.after(Duration{1000}, [this] {
      if (!running() || waiting_.empty()) return;
      const Action action = std::move(waiting_.front());
      waiting_.pop_front();
      action();
      catch_up();
    });
  }

  Timeline& timeline_;
  bool alive_ = true, frozen_ = false;
  unsigned life_ = 0;
  std::deque<Action> waiting_;
};

}  // namespace pccl::sim
