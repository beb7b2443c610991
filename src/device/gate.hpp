// Opens once, and tells who has asked for that. Any thread.
#pragma once

#include <functional>
#include <mutex>
#include <utility>

namespace pccl::device {

class Gate {
 public:
  bool is_open() const {
    const std::lock_guard guard(mutex_);
    return open_;
  }
  void open() {
    std::function<void()> tell;
    {
      const std::lock_guard guard(mutex_);
      open_ = true;
      tell = std::move(tell_);
    }
    if (tell) tell();
  }
  // For one: `tell` is called when it opens, if it is not open already.
  void tell_when_open(std::function<void()> tell) {
    const std::lock_guard guard(mutex_);
    if (!open_) tell_ = std::move(tell);
  }

 private:
  mutable std::mutex mutex_;
  bool open_ = false;
  std::function<void()> tell_;
};

}  // namespace pccl::device
