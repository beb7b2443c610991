#include "device/host_memory.hpp"

#include <bit>
#include <map>
#include <mutex>
#include <tuple>

namespace pccl::device {

namespace {

// By who has pinned it, and its size.
struct Kept {
  std::mutex mutex;
  std::multimap<std::tuple<Runtime*, int, std::size_t>, std::byte*> memory;
};
Kept& kept() {
  static auto* const kept = new Kept;  // outlives CUDA at exit
  return *kept;
}

}  // namespace

void HostMemoryDeleter::operator()(std::byte* memory) const {
  if (pinned_by == nullptr) {
    delete[] memory;
    return;
  }
  const std::lock_guard guard(kept().mutex);
  kept().memory.emplace(std::tuple{pinned_by, gpu, bytes}, memory);
}

HostMemory host_memory(const Gpu* gpu, std::size_t bytes) {
  if (gpu == nullptr) return {new std::byte[bytes], HostMemoryDeleter{}};
  bytes = std::bit_ceil(bytes);  // few sizes, so that what is kept is of use
  const HostMemoryDeleter keep{&gpu->runtime(), gpu->ordinal(), bytes};
  {
    const std::lock_guard guard(kept().mutex);
    if (auto found = kept().memory.extract({keep.pinned_by, keep.gpu, bytes}))
      return {found.mapped(), keep};
  }
  void* pinned = nullptr;
  if (gpu->runtime().allocate_pinned(gpu->ordinal(), bytes, &pinned) == 0)
    return {static_cast<std::byte*>(pinned), keep};
  return {new std::byte[bytes], HostMemoryDeleter{}};
}

void unpin_what_is_kept() {
  const std::lock_guard guard(kept().mutex);
  for (const auto& [of, memory] : kept().memory) {
    const auto& [runtime, gpu, bytes] = of;
    runtime->free_pinned(gpu, memory);
  }
  kept().memory.clear();
}

}  // namespace pccl::device
