#include "gpu_memory.hpp"

namespace pccl_test {

std::unique_ptr<GpuMemory> real_gpu(std::string& why) {
  why = "this build has no CUDA support";
  return nullptr;
}

}  // namespace pccl_test
