#include "device/host_memory.hpp"

#include <bit>
#include <map>
#include <mutex>
#include <utility>

namespace pccl::device {

namespace {

// By who has pinned it, and its size.
struct Kept {
  std::mutex mutex;
  std::multimap<std::pair<Runtime*, std::size_t>, std::byte*> memory;
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
  kept().memory.emplace(std::pair{pinned_by, bytes}, memory);
}

HostMemory host_memory(Runtime* runtime, std::size_t bytes) {
  if (runtime == nullptr) return {new std::byte[bytes], HostMemoryDeleter{}};
  bytes = std::bit_ceil(bytes);  // few sizes, so that what is kept is of use
  {
    const std::lock_guard guard(kept().mutex);
    if (auto found = kept().memory.extract({runtime, bytes}))
      return {found.mapped(), HostMemoryDeleter{runtime, bytes}};
  }
  void* pinned = nullptr;
  if (runtime->allocate_pinned(bytes, &pinned) == 0)
    return {static_cast<std::byte*>(pinned), HostMemoryDeleter{runtime, bytes}};
  return {new std::byte[bytes], HostMemoryDeleter{}};
}

void unpin_what_is_kept() {
  const std::lock_guard guard(kept().mutex);
  for (const auto& [of, memory] : kept().memory) of.first->free_pinned(memory);
  kept().memory.clear();
}

}  // namespace pccl::device
