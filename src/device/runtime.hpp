// As much of CUDA as the library uses. cuda/runtime.cpp calls it; tests play it on the CPU
// (tests/device/fake_runtime.hpp), so that all that is built on it runs on machines without a GPU.
//
// Functions return a number of CUDA's (cudaError_t), 0 for success. What is put into a stream is
// carried out later, in order; `gpu` is the one that the stream or the memory belongs to. Any
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/dtype.hpp"
#include "device/place.hpp"
#include "kernels/cuda/kernels.hpp"

namespace pccl::device {

using kernels::cuda::Stream;

class Runtime {
 public:
  static constexpr int out_of_memory = 2;  // cudaErrorMemoryAllocation
  static constexpr int not_ready = 600;    // cudaErrorNotReady

  virtual ~Runtime() = default;
  virtual Location locate(const void* at) = 0;
  virtual std::string describe(int error) = 0;

  virtual int allocate(int gpu, std::size_t bytes, void** memory) = 0;
  virtual void free(int gpu, void* memory) = 0;
  // Of the host, for all GPUs. Goes by way of this one, whose context is there already.
  virtual int allocate_pinned(int gpu, std::size_t bytes, void** memory) = 0;
  virtual void free_pinned(int gpu, void* memory) = 0;

  virtual int make_stream(int gpu, Stream* stream) = 0;
  virtual void destroy_stream(int gpu, Stream stream) = 0;
  // `stream` goes on once what is in `other` now has been carried out. Null is CUDA's default
  // stream.
  virtual int follow(int gpu, Stream stream, Stream other) = 0;
  virtual int wait(int gpu, Stream stream) = 0;   // blocks until all of it has been carried out
  virtual int query(int gpu, Stream stream) = 0;  // 0, not_ready, or what has gone wrong
  // Calls `function` on a thread of the runtime's, which may call nothing of CUDA. Never where
  // something before it has gone wrong.
  virtual int call(int gpu, Stream stream, void (*function)(void*), void* argument) = 0;
  virtual int copy(int gpu, Stream stream, void* to, const void* from, std::size_t bytes) = 0;

  // kernels/cuda/kernels.hpp
  virtual int load_reduce(int gpu, RedOp op, DataType type) = 0;
  virtual int load_quantize(int gpu, DataType type, Code code) = 0;
  virtual int reduce(int gpu, Stream stream, RedOp op, DataType type, void* out, const void* a,
                     const void* b, std::size_t count) = 0;
  virtual int finalize(int gpu, Stream stream, RedOp op, DataType type, void* data,
                       std::size_t count, std::uint32_t world_size) = 0;
  virtual int quantize(int gpu, Stream stream, DataType type, Code code,
                       const kernels::cuda::QuantizeStep& step) = 0;
  virtual int dequantize(int gpu, Stream stream, DataType type, Code code,
                         const kernels::cuda::DequantizeStep& step) = 0;
  virtual int digest(int gpu, Stream stream, const kernels::cuda::DigestJob* jobs,
                     std::size_t count, std::uint8_t* octets, const std::byte* secret) = 0;
};

// Null: this build has none (PCCL_BUILD_CUDA_SUPPORT). It makes no demands on the machine before
// memory of a GPU turns up.
Runtime* runtime();
bool has_cuda_support();

// For tests: this one counts from now on, and CUDA again after null. Nothing is in flight.
void install(Runtime* stand_in);

// As the runtime tells, or without one the driver.
Location location_of(const void* at);

}  // namespace pccl::device
