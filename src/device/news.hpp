// News for somebody on another thread, until it is revoked: after that nobody is in the call, and
// nobody enters it. Copies are of one.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <utility>

namespace pccl::device {

class News {
 public:
  explicit News(std::function<void()> call) : state_(std::make_shared<State>()) {
    state_->call = std::move(call);
  }
  void operator()() const {
    const std::lock_guard guard(state_->mutex);
    if (state_->call) state_->call();
  }
  void revoke() const {
    const std::lock_guard guard(state_->mutex);
    state_->call = nullptr;
  }

 private:
  struct State {
    std::mutex mutex;
    std::function<void()> call;
  };
  std::shared_ptr<State> state_;
};

}  // namespace pccl::device
