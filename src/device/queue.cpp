#include "device/queue.hpp"

#include <iterator>
#include <utility>

namespace pccl::device {

Queue::Queue(Runtime& runtime, int gpu) : runtime_(runtime), gpu_(gpu) {
  error_ = runtime_.make_stream(gpu_, &stream_);
}

Queue::~Queue() {
  if (stream_ == nullptr) return;
  runtime_.wait(gpu_, stream_);
  runtime_.destroy_stream(gpu_, stream_);
}

void Queue::follow(Stream other) {
  put([&] { return runtime_.follow(gpu_, stream_, other); });
}

void Queue::copy(void* to, const void* from, std::size_t bytes) {
  if (bytes > 0) put([&] { return runtime_.copy(gpu_, stream_, to, from, bytes); });
}

void Queue::reduce(RedOp op, DataType type, void* out, const void* a, const void* b,
                   std::size_t count) {
  put([&] { return runtime_.reduce(gpu_, stream_, op, type, out, a, b, count); });
}

void Queue::finalize(RedOp op, DataType type, void* data, std::size_t count,
                     std::uint32_t world_size) {
  put([&] { return runtime_.finalize(gpu_, stream_, op, type, data, count, world_size); });
}

void Queue::quantize(DataType type, Code code, const kernels::cuda::QuantizeStep& step) {
  put([&] { return runtime_.quantize(gpu_, stream_, type, code, step); });
}

void Queue::dequantize(DataType type, Code code, const kernels::cuda::DequantizeStep& step) {
  put([&] { return runtime_.dequantize(gpu_, stream_, type, code, step); });
}

void Queue::digest(const kernels::cuda::DigestJob* jobs, std::size_t count, std::uint8_t* octets,
                   const std::byte* secret) {
  put([&] { return runtime_.digest(gpu_, stream_, jobs, count, octets, secret); });
}

void Queue::then(std::function<void()> ended) {
  Call* call = nullptr;
  {
    const std::lock_guard guard(calls_mutex_);
    call = &calls_.emplace_back(Call{*this, std::move(ended), {}});
    call->self = std::prev(calls_.end());
  }
  put([&] {
    return runtime_.call(
        gpu_, stream_,
        [](void* argument) {
          Call& mine = *static_cast<Call*>(argument);
          mine.queue.take_out(mine)();
        },
        call);
  });
  if (error_ != 0) take_out (*call)();
}

std::function<void()> Queue::take_out(Call& call) {
  const std::lock_guard guard(calls_mutex_);
  std::function<void()> ended = std::move(call.ended);
  calls_.erase(call.self);
  return ended;
}

bool Queue::has_calls_to_make() const {
  const std::lock_guard guard(calls_mutex_);
  return !calls_.empty();
}

int Queue::wait() {
  if (stream_ == nullptr) return error_;
  const int now = runtime_.wait(gpu_, stream_);
  if (error_ == 0) error_ = now;
  return error_;
}

int Queue::check() {
  ended();
  return error_;
}

bool Queue::ended() {
  if (stream_ == nullptr) return true;
  const int now = runtime_.query(gpu_, stream_);
  if (error_ == 0 && now != Runtime::not_ready) error_ = now;
  return now != Runtime::not_ready;
}

}  // namespace pccl::device
