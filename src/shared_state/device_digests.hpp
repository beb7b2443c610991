// Digests of the blocks that lie on GPUs. A GPU computes those of its own memory, and 16 bytes of
// each come to the host. It can do that for a block of one tensor that is aligned to eight bytes
// and not tiny; other blocks are copied, and read on the host.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "base/digest.hpp"
#include "device/gpu.hpp"
#include "kernels/cuda/steps.hpp"
#include "shared_state/block_map.hpp"
#include "shared_state/state_view.hpp"

namespace pccl::shared_state {

class DeviceDigests {
 public:
  // The GPUs begin. Both outlive it, and nothing writes to the tensors any more. Throws
  // device::Error, as does finish().
  DeviceDigests(StateView state, const BlockMap& map);
  // Waits for the GPUs, and sets the digests of the blocks that lie there.
  void finish(std::span<Digest> digests);

 private:
  // What one GPU does; the queue, which waits at its end, goes before the memory.
  struct Work {
    std::vector<std::uint32_t> blocks;
    std::vector<kernels::cuda::DigestJob> jobs;
    std::vector<Digest> digests;
    device::Memory memory;
    std::byte* digests_there = nullptr;
    std::shared_ptr<device::Queue> queue;
  };
  void sort_blocks();
  static void start(Work& work, device::Gpu& gpu);
  void read_on_host(std::span<Digest> digests) const;

  StateView state_;
  const BlockMap& map_;
  std::map<std::shared_ptr<device::Gpu>, Work> work_;
  std::vector<std::uint32_t> others_;  // blocks that no GPU can do
};

}  // namespace pccl::shared_state
