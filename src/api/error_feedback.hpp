// The residuals that a caller keeps for one tensor, and who may change them: one op at a time.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "api/answer.hpp"
#include "device/gpu.hpp"
#include "node/peer_requests.hpp"
#include "pccl.h"

// The residuals are where the last op has needed them: on the host or on a GPU. Used by one thread
// at a time, which `in_use` and the public header see to.
struct pcclErrorFeedback_t {
 public:
  explicit pcclErrorFeedback_t(std::size_t count) : on_host_(count) {}

  std::size_t count() const { return on_host_.size(); }
  // Both block while they are copied, and throw device::Error.
  float* on_host();
  float* on_gpu(int gpu);

  std::atomic<bool> in_use{false};

 private:
  void copy(int ordinal, void* to, const void* from);  // of that GPU

  std::vector<float> on_host_;
  std::optional<int> gpu_;  // the residuals are there and not on the host
  pccl::device::Memory memory_;
};

namespace pccl::api {

// An op's hold on residuals, from before its launch until it has been awaited: nobody else gets
// them, and their memory stays although the caller destroys the handle.
class FeedbackLease {
 public:
  FeedbackLease() = default;
  FeedbackLease(FeedbackLease&& other) noexcept = default;
  FeedbackLease& operator=(FeedbackLease&& other) noexcept {
    std::swap(feedback_, other.feedback_);
    return *this;
  }
  ~FeedbackLease() {
    if (feedback_) feedback_->in_use.store(false, std::memory_order_release);
  }

  // False: somebody has them.
  bool hold(std::shared_ptr<pcclErrorFeedback_t> feedback);
  // Of a checked request, whose `residual` it fills in; null is none.
  Answer take(const pcclErrorFeedback_t* handle, node::ReduceRequest& request);

  explicit operator bool() const { return feedback_ != nullptr; }

 private:
  std::shared_ptr<pcclErrorFeedback_t> feedback_;
};

}  // namespace pccl::api
