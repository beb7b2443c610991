// Blocks in memory of the host that GPUs copy from and to while the host does something else.
#pragma once

#include <memory>
#include <unordered_map>
#include <utility>

#include "collective/block_pool.hpp"
#include "device/host_memory.hpp"

namespace pccl::collective {

class PinnedBlocks final : public BlockSource {
 public:
  explicit PinnedBlocks(std::shared_ptr<device::Gpu> gpu) : gpu_(std::move(gpu)) {}

  std::byte* allocate() override {
    device::HostMemory memory = device::host_memory(gpu_.get(), limits::segment_bytes);
    std::byte* const block = memory.get();
    blocks_.emplace(block, std::move(memory));
    return block;
  }
  void free(std::byte* block) override { blocks_.erase(block); }

 private:
  std::shared_ptr<device::Gpu> gpu_;
  std::unordered_map<std::byte*, device::HostMemory> blocks_;
};

}  // namespace pccl::collective
