// Memory of the host that bytes of GPUs pass through.
#pragma once

#include <cstddef>
#include <memory>

#include "device/gpu.hpp"

namespace pccl::device {

struct HostMemoryDeleter {
  Runtime* pinned_by = nullptr;
  int gpu = 0;
  std::size_t bytes = 0;
  void operator()(std::byte* memory) const;
};
using HostMemory = std::unique_ptr<std::byte[], HostMemoryDeleter>;

// Pinned for GPUs, of which this is one, so that copies are fast and nobody waits for them.
// Ordinary memory for none, and where CUDA pins no more: copies are slower then, and as right. Its
// content is unspecified. What is given back is kept for the next who asks for as much: CUDA may
// wait for all that its GPUs do before it unpins memory. Any thread.
HostMemory host_memory(const Gpu* gpu, std::size_t bytes);

// Has so many of `bytes` each ready, so that who asks for them later does not wait: to pin memory
// may take as long as all that the GPU does.
void pin_ahead(const Gpu& gpu, std::size_t bytes, std::size_t count);

void unpin_what_is_kept();  // but what has been pinned together with something that is lent

}  // namespace pccl::device
