#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include "gpu_memory.hpp"

namespace pccl_test {

namespace {

void check(cudaError_t error) {
  EXPECT_EQ(error, cudaSuccess) << cudaGetErrorString(error);
}

class Real final : public GpuMemory {
 public:
  std::byte* allocate(std::size_t bytes) override {
    void* memory = nullptr;
    check(cudaMalloc(&memory, bytes + 1));
    return static_cast<std::byte*>(memory);
  }
  void release(std::byte* memory) override { check(cudaFree(memory)); }
  void copy(void* to, const void* from, std::size_t bytes) override {
    check(cudaMemcpy(to, from, bytes, cudaMemcpyDefault));
    check(cudaDeviceSynchronize());
  }
};

}  // namespace

std::unique_ptr<GpuMemory> real_gpu(std::string& why) {
  int devices = 0;
  const cudaError_t error = cudaGetDeviceCount(&devices);
  if (error == cudaSuccess && devices > 0) return std::make_unique<Real>();
  why = std::string("no GPU here: ") + cudaGetErrorString(error);
  return nullptr;
}

}  // namespace pccl_test
