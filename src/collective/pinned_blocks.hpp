// Blocks in memory of the host that GPUs copy from and to while the host does something else. Where
// the system has no more of it to give they are of the heap, and copies only slower.
#pragma once

#include <unordered_set>

#include "collective/block_pool.hpp"
#include "device/runtime.hpp"

namespace pccl::collective {

class PinnedBlocks final : public BlockSource {
 public:
  explicit PinnedBlocks(device::Runtime& runtime) : runtime_(runtime) {}

  std::byte* allocate() override {
    void* memory = nullptr;
    if (runtime_.allocate_pinned(limits::segment_bytes, &memory) != 0)
      return BlockPool::heap().allocate();
    pinned_.insert(memory);
    return static_cast<std::byte*>(memory);
  }
  void free(std::byte* block) override {
    if (pinned_.erase(block) > 0)
      runtime_.free_pinned(block);
    else
      BlockPool::heap().free(block);
  }

 private:
  device::Runtime& runtime_;
  std::unordered_set<void*> pinned_;
};

}  // namespace pccl::collective
