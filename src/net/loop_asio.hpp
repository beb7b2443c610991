// The inside of a Loop, for the few .cpp files that touch Asio.
#pragma once

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "net/brief_spin.hpp"
#include "net/file_descriptor.hpp"
#include "net/loop.hpp"
#include "net/loop_turns.hpp"

namespace pccl::net {

// First come, first served: a busy loop thread must not starve a caller who wants to launch an op.
class FairLock {
 public:
  void lock() {
    std::unique_lock guard(mutex_);
    const std::uint64_t mine = next_++;
    turn_.wait(guard, [&] { return serving_ == mine; });
  }
  void unlock() {
    const std::lock_guard guard(mutex_);
    ++serving_;
    if (serving_ != next_) turn_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable turn_;
  std::uint64_t next_ = 0, serving_ = 0;
};

// What is left to whoever runs the loop.
class Loop::LeftTasks {
 public:
  bool any() const { return any_; }
  bool overdue() const { return any_ && now().time_since_epoch() >= due_.load(); }
  // Holding the loop.
  void leave(std::function<void()> task) {
    if (tasks_.empty()) due_ = now().time_since_epoch() + longest_delay;
    tasks_.push_back(std::move(task));
    any_ = true;
  }
  void run() {
    any_ = false;
    for (const auto& task : std::exchange(tasks_, {})) task();
  }

 private:
  static constexpr Duration longest_delay = std::chrono::milliseconds(1);

  std::vector<std::function<void()>> tasks_;
  std::atomic<Duration> due_{};
  std::atomic<bool> any_ = false;
};

struct Loop::Asio {
  asio::io_context context;
  asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
  LoopTurns turns;
  BriefSpin spin;  // of the caller that runs the loop
  FairLock lock;
  LeftTasks for_next_turn, before_sleep;
  FileDescriptor stop_event;  // an eventfd: writing to it is all that stop() does
  asio::posix::stream_descriptor stop_waiter{context};
};

}  // namespace pccl::net
