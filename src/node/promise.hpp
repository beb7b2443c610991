// A value that one thread waits for and another delivers, once.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>

#include "base/time.hpp"

namespace pccl::node {

template <typename Value>
class Promise {
 public:
  void deliver(Value value) {
    {
      const std::lock_guard guard(mutex_);
      if (value_) return;
      value_ = std::move(value);
    }
    delivered_.notify_all();
  }
  bool kept() const {
    const std::lock_guard guard(mutex_);
    return value_.has_value();
  }
  bool kept_within(Duration patience) const {
    std::unique_lock guard(mutex_);
    return delivered_.wait_for(guard, patience, [this] { return value_.has_value(); });
  }
  Value& wait() {
    std::unique_lock guard(mutex_);
    delivered_.wait(guard, [this] { return value_.has_value(); });
    return *value_;
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable delivered_;
  std::optional<Value> value_;
};

}  // namespace pccl::node
