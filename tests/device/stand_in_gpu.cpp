#include <cstring>

#include "device/fake_runtime.hpp"
#include "gpu_memory.hpp"

namespace pccl_test {

namespace {

class StandIn final : public GpuMemory {
 public:
  std::byte* allocate(std::size_t bytes) override { return cuda_->device_memory(bytes); }
  void release(std::byte* memory) override { cuda_->release(memory); }
  void copy(void* to, const void* from, std::size_t bytes) override {
    std::memcpy(to, from, bytes);
  }

 private:
  InstalledRuntime cuda_;
};

}  // namespace

std::unique_ptr<GpuMemory> stand_in_gpu() {
  return std::make_unique<StandIn>();
}

}  // namespace pccl_test
