#include "device/runtime.hpp"

#include <atomic>

#include "device/gpu.hpp"
#include "device/host_memory.hpp"

namespace pccl::device {

namespace {
std::atomic<Runtime*> installed{nullptr};
}

Runtime* cuda_runtime();  // cuda/runtime.cpp, or no_cuda.cpp

Runtime* runtime() {
  Runtime* const stand_in = installed;
  return stand_in != nullptr ? stand_in : cuda_runtime();
}

bool has_cuda_support() {
  return runtime() != nullptr;
}

void install(Runtime* stand_in) {
  Gpu::forget_all();
  unpin_what_is_kept();
  installed = stand_in;
}

Location location_of(const void* at) {
  Runtime* const here = runtime();
  return here != nullptr ? here->locate(at) : driver_location_of(at);
}

}  // namespace pccl::device
