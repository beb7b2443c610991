// Memory of a GPU, for tests that run on a stand-in and, where there is one, on a GPU.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

namespace pccl_test {

class GpuMemory {
 public:
  virtual ~GpuMemory() = default;
  virtual std::byte* allocate(std::size_t bytes) = 0;
  virtual void release(std::byte* memory) = 0;
  virtual void copy(void* to, const void* from, std::size_t bytes) = 0;  // done when it returns
};

std::unique_ptr<GpuMemory> stand_in_gpu();
// Null and why: there is none, or this build has no CUDA.
std::unique_ptr<GpuMemory> real_gpu(std::string& why);

}  // namespace pccl_test
