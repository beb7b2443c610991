// The residuals that a caller keeps for one tensor, and who may change them: one op at a time.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "api/answer.hpp"
#include "node/peer_node.hpp"
#include "pccl.h"

struct pcclErrorFeedback_t {
  explicit pcclErrorFeedback_t(std::size_t count) : residual(count) {}

  std::vector<float> residual;
  std::atomic<bool> in_use{false};
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

  // Of a checked request, whose `residual` it fills in; null is none.
  Answer take(const pcclErrorFeedback_t* handle, node::ReduceRequest& request);

  explicit operator bool() const { return feedback_ != nullptr; }

 private:
  std::shared_ptr<pcclErrorFeedback_t> feedback_;
};

}  // namespace pccl::api
