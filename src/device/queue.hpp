// A stream of the library's own and the first thing that has gone wrong in it: after that nothing
// is put into it any more, and what it was to do counts as ended. One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>

#include "base/dtype.hpp"
#include "device/runtime.hpp"

namespace pccl::device {

class Queue {
 public:
  Queue(Runtime& runtime, int gpu);  // error() says whether there is one
  ~Queue();                          // waits
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  void follow(Stream other);
  void copy(void* to, const void* from, std::size_t bytes);
  void reduce(RedOp op, DataType type, void* out, const void* a, const void* b, std::size_t count);
  void finalize(RedOp op, DataType type, void* data, std::size_t count, std::uint32_t world_size);
  void quantize(DataType type, Code code, const kernels::cuda::QuantizeStep& step);
  void dequantize(DataType type, Code code, const kernels::cuda::DequantizeStep& step);
  void digest(const kernels::cuda::DigestJob* jobs, std::size_t count, std::uint8_t* octets,
              const std::byte* secret);

  // Calls `ended` once all before it has been carried out, on a thread of the runtime's, or at once
  // where something has gone wrong. Where something goes wrong later it may never be called:
  // check() tells.
  void then(std::function<void()> ended);
  int wait();    // blocks until all of it has been carried out; error()
  int check();   // error(), of what the GPU has done by now as well
  bool ended();  // all of it has been carried out, or something has gone wrong; does not block

  bool lingers = false;  // nobody waits for its work when it is given back: it touches nothing

  int error() const { return error_; }
  bool has_calls_to_make() const;  // of then(); after an error they may never be made
  std::string why() const { return runtime_.describe(error_); }
  Runtime& runtime() const { return runtime_; }
  Stream stream() const { return stream_; }  // for work of other libraries

 private:
  template <typename Work>
  void put(Work work) {
    if (error_ == 0) error_ = work();
  }

  struct Call {
    Queue& queue;
    std::function<void()> ended;
    std::list<Call>::iterator self;
  };
  std::function<void()> take_out(Call& call);

  Runtime& runtime_;
  const int gpu_;
  Stream stream_ = nullptr;
  int error_ = 0;
  mutable std::mutex calls_mutex_;
  std::list<Call> calls_;  // put into the stream, not called yet
};

}  // namespace pccl::device
