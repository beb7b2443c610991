// CUDA's runtime, linked statically: it looks for the driver when it is first called, so that the
// same library loads on machines without one.
#include "device/runtime.hpp"

#include <cuda_runtime_api.h>
#include <dlfcn.h>

#include <string>

namespace pccl::device {

Runtime* cuda_runtime();

namespace {

// What is current on the calling thread is the application's: it is the same again afterwards. It
// is a context, and not a GPU, that is kept: of a thread that has none yet CUDA says that GPU 0 is
// current, and to go back there would make a context on it.
class OnGpu {
 public:
  explicit OnGpu(int gpu) {
    kept_ = contexts().get != nullptr && contexts().get(&before_) == 0;
    error_ = cudaSetDevice(gpu);
  }
  ~OnGpu() {
    if (kept_) contexts().set(before_);
  }
  OnGpu(const OnGpu&) = delete;
  OnGpu& operator=(const OnGpu&) = delete;

  cudaError_t error() const { return error_; }

 private:
  // Of the driver's API.
  struct Contexts {
    int (*get)(void** context) = nullptr;
    int (*set)(void* context) = nullptr;
  };
  static const Contexts& contexts() {
    static const Contexts found = [] {
      Contexts functions;
      if (void* const driver = dlopen("libcuda.so.1", RTLD_LAZY)) {
        functions.get = reinterpret_cast<int (*)(void**)>(dlsym(driver, "cuCtxGetCurrent"));
        functions.set = reinterpret_cast<int (*)(void*)>(dlsym(driver, "cuCtxSetCurrent"));
      }
      if (functions.set == nullptr) functions.get = nullptr;
      return functions;
    }();
    return found;
  }

  void* before_ = nullptr;
  bool kept_ = false;
  cudaError_t error_ = cudaSuccess;
};

// While another thread captures a graph, CUDA takes what this one does for a mistake unless it is
// told that it has nothing to do with it.
class BesideCaptures {
 public:
  BesideCaptures() { cudaThreadExchangeStreamCaptureMode(&mode_); }
  ~BesideCaptures() { cudaThreadExchangeStreamCaptureMode(&mode_); }
  BesideCaptures(const BesideCaptures&) = delete;
  BesideCaptures& operator=(const BesideCaptures&) = delete;

 private:
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
};

// The first error: of getting there, or of `work`. It is told here and nowhere else: CUDA also
// keeps it as the thread's last one, where the application would take it for its own.
template <typename Work>
int on(int gpu, Work work) {
  const OnGpu there(gpu);
  int error = there.error();
  if (error == cudaSuccess) {
    const BesideCaptures beside;
    error = static_cast<int>(work());
  }
  if (error != cudaSuccess) cudaGetLastError();
  return error;
}

// An application's stream may be another GPU's. CUDA tells since 12.8; before that it has to be the
// same. Asked on `here`: a thread without a context would be given one on GPU 0.
int gpu_of([[maybe_unused]] Stream stream, int here) {
  int gpu = here;
#if CUDART_VERSION >= 12080
  if (stream != nullptr && on(here, [&] { return cudaStreamGetDevice(stream, &gpu); }) != 0)
    gpu = here;
#endif
  return gpu;
}

class CudaRuntime final : public Runtime {
 public:
  Location locate(const void* at) override { return driver_location_of(at); }

  std::string describe(int error) override {
    const auto code = static_cast<cudaError_t>(error);
    return std::string(cudaGetErrorString(code)) + " (" + cudaGetErrorName(code) + ")";
  }

  int allocate(int gpu, std::size_t bytes, void** memory) override {
    return on(gpu, [&] { return cudaMalloc(memory, bytes); });
  }
  void free(int gpu, void* memory) override {
    on(gpu, [&] { return cudaFree(memory); });
  }
  int allocate_pinned(int gpu, std::size_t bytes, void** memory) override {
    return on(gpu, [&] { return cudaHostAlloc(memory, bytes, cudaHostAllocPortable); });
  }
  void free_pinned(int gpu, void* memory) override {
    on(gpu, [&] { return cudaFreeHost(memory); });
  }

  int make_stream(int gpu, Stream* stream) override {
    return on(gpu, [&] { return cudaStreamCreateWithFlags(stream, cudaStreamNonBlocking); });
  }
  void destroy_stream(int gpu, Stream stream) override {
    on(gpu, [&] { return cudaStreamDestroy(stream); });
  }

  int follow(int gpu, Stream stream, Stream other) override {
    cudaEvent_t here = nullptr;
    int error = on(gpu_of(other, gpu), [&] {
      // A stream that waits for one that is being captured would be captured with it.
      cudaStreamCaptureStatus capturing = cudaStreamCaptureStatusNone;
      if (const cudaError_t asked = cudaStreamIsCapturing(other, &capturing); asked != cudaSuccess)
        return asked;
      if (capturing != cudaStreamCaptureStatusNone) return cudaErrorStreamCaptureUnsupported;
      const cudaError_t made = cudaEventCreateWithFlags(&here, cudaEventDisableTiming);
      return made != cudaSuccess ? made : cudaEventRecord(here, other);
    });
    if (error == cudaSuccess) error = on(gpu, [&] { return cudaStreamWaitEvent(stream, here, 0); });
    if (here != nullptr) on(gpu, [&] { return cudaEventDestroy(here); });  // once it has happened
    return error;
  }
  int wait(int gpu, Stream stream) override {
    return on(gpu, [&] { return cudaStreamSynchronize(stream); });
  }
  int query(int gpu, Stream stream) override {
    const int error = on(gpu, [&] { return cudaStreamQuery(stream); });
    return error == cudaErrorCudartUnloading ? not_ready : error;  // the process ends
  }
  int call(int gpu, Stream stream, void (*function)(void*), void* argument) override {
    return on(gpu, [&] { return cudaLaunchHostFunc(stream, function, argument); });
  }
  int copy(int gpu, Stream stream, void* to, const void* from, std::size_t bytes) override {
    return on(gpu, [&] { return cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream); });
  }

  int load_reduce(int gpu, RedOp op, DataType type) override {
    return on(gpu, [&] { return kernels::cuda::load_reduce(op, type); });
  }
  int load_quantize(int gpu, DataType type, Code code) override {
    return on(gpu, [&] { return kernels::cuda::load_quantize(type, code); });
  }
  int reduce(int gpu, Stream stream, RedOp op, DataType type, void* out, const void* a,
             const void* b, std::size_t count) override {
    return on(gpu, [&] { return kernels::cuda::reduce(op, type, out, a, b, count, stream); });
  }
  int finalize(int gpu, Stream stream, RedOp op, DataType type, void* data, std::size_t count,
               std::uint32_t world_size) override {
    return on(gpu,
              [&] { return kernels::cuda::finalize(op, type, data, count, world_size, stream); });
  }
  int quantize(int gpu, Stream stream, DataType type, Code code,
               const kernels::cuda::QuantizeStep& step) override {
    return on(gpu, [&] { return kernels::cuda::quantize(type, code, step, stream); });
  }
  int dequantize(int gpu, Stream stream, DataType type, Code code,
                 const kernels::cuda::DequantizeStep& step) override {
    return on(gpu, [&] { return kernels::cuda::dequantize(type, code, step, stream); });
  }
  int digest(int gpu, Stream stream, const kernels::cuda::DigestJob* jobs, std::size_t count,
             std::uint8_t* octets, const std::byte* secret) override {
    return on(gpu, [&] { return kernels::cuda::digest(jobs, count, octets, secret, stream); });
  }
};

}  // namespace

Runtime* cuda_runtime() {
  static CudaRuntime* const runtime = new CudaRuntime;  // outlives whoever uses it at exit
  return runtime;
}

static_assert(Runtime::out_of_memory == cudaErrorMemoryAllocation);
static_assert(Runtime::not_ready == cudaErrorNotReady);

}  // namespace pccl::device
