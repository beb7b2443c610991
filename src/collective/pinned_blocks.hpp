// Blocks in memory of the host that GPUs copy from and to while the host does something else.
#pragma once

#include <unordered_map>

#include "collective/block_pool.hpp"
#include "device/host_memory.hpp"

namespace pccl::collective {

class PinnedBlocks final : public BlockSource {
 public:
  explicit PinnedBlocks(device::Runtime& runtime) : runtime_(runtime) {}

  std::byte* allocate() override {
    device::HostMemory memory = device::host_memory(&runtime_, limits::segment_bytes);
    std::byte* const block = memory.get();
    blocks_.emplace(block, std::move(memory));
    return block;
  }
  void free(std::byte* block) override { blocks_.erase(block); }

 private:
  device::Runtime& runtime_;
  std::unordered_map<std::byte*, device::HostMemory> blocks_;
};

}  // namespace pccl::collective
