#include "api/error_feedback.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "api/living.hpp"
#include "base/limits.hpp"

float* pcclErrorFeedback_t::on_host() {
  if (gpu_) copy(*gpu_, on_host_.data(), memory_.data());
  gpu_.reset();
  memory_ = {};
  return on_host_.data();
}

float* pcclErrorFeedback_t::on_gpu(int gpu) {
  if (gpu_ != gpu) {
    on_host();
    pccl::device::Memory memory =
        pccl::device::Gpu::at(gpu)->memory(std::max<std::size_t>(1, count()) * sizeof(float));
    copy(gpu, memory.data(), on_host_.data());
    memory_ = std::move(memory);
    gpu_ = gpu;
  }
  return reinterpret_cast<float*>(memory_.data());
}

void pcclErrorFeedback_t::copy(int ordinal, void* to, const void* from) {
  const auto gpu = pccl::device::Gpu::at(ordinal);
  const auto queue = gpu->queue();
  queue->copy(to, from, count() * sizeof(float));
  if (const int error = queue->wait(); error != 0)
    throw pccl::device::Error(gpu->runtime(), ordinal, "residuals cannot be copied", error);
}

namespace pccl::api {

using LivingFeedback = Living<pcclErrorFeedback_t>;

bool FeedbackLease::hold(std::shared_ptr<pcclErrorFeedback_t> feedback) {
  if (feedback->in_use.exchange(true, std::memory_order_acquire)) return false;
  feedback_ = std::move(feedback);
  return true;
}

Answer FeedbackLease::take(const pcclErrorFeedback_t* handle, node::ReduceRequest& request) {
  if (handle == nullptr) return success();
  std::shared_ptr<pcclErrorFeedback_t> found = LivingFeedback::all().find(handle);
  if (found == nullptr) return invalid_argument("not an error feedback");
  if (!request.quantization) return invalid_argument("error feedback without quantization");
  if (request.op != RedOp::sum && request.op != RedOp::avg)
    return invalid_argument("error feedback is for sum and avg, not for " +
                            std::string(name_of(request.op)));
  if (found->count() != request.count)
    return invalid_argument("error feedback for " + std::to_string(found->count()) +
                            " elements, but count is " + std::to_string(request.count));
  if (!hold(std::move(found)))
    return invalid_argument("the error feedback is in use by an op in flight");
  const device::Location& location = request.on_gpu.location;
  request.residual = location.place == device::Place::cuda ? feedback_->on_gpu(location.gpu)
                                                           : feedback_->on_host();
  return success();
}

}  // namespace pccl::api

using namespace pccl::api;

pcclResult_t pcclCreateErrorFeedback(size_t count, pcclErrorFeedback_t** feedback_out) {
  if (!initialized()) return pcclNotInitialized;
  if (feedback_out == nullptr || count > pccl::limits::op_bytes / sizeof(float))
    return pcclInvalidArgument;
  return without_exceptions([&] {
           *feedback_out = LivingFeedback::all().add(std::make_shared<pcclErrorFeedback_t>(count));
           return success();
         })
      .result;
}

pcclResult_t pcclErrorFeedbackData(const pcclErrorFeedback_t* feedback, float** residual_out,
                                   size_t* count_out) {
  if (!initialized()) return pcclNotInitialized;
  if (residual_out == nullptr) return pcclInvalidArgument;
  return without_exceptions([&] {
           const auto found = LivingFeedback::all().find(feedback);
           if (found == nullptr) return invalid_argument("not an error feedback");
           // An op may be at work in the memory that goes when they are brought back.
           FeedbackLease lease;
           if (!lease.hold(found)) return invalid_usage("in use by an op in flight");
           *residual_out = found->on_host();
           if (count_out != nullptr) *count_out = found->count();
           return success();
         })
      .result;
}

pcclResult_t pcclDestroyErrorFeedback(pcclErrorFeedback_t* feedback) {
  if (!initialized()) return pcclNotInitialized;
  return without_exceptions([&] {
           const auto found = LivingFeedback::all().take_out(feedback);
           return found == nullptr ? invalid_argument("not an error feedback") : success();
         })
      .result;
}
