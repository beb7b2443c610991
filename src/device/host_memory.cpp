#include "device/host_memory.hpp"

#include <algorithm>
#include <bit>
#include <map>
#include <mutex>
#include <tuple>
#include <vector>

namespace pccl::device {

namespace {

// Small pieces are cut from this much, since each pinning has its price.
constexpr std::size_t slab_bytes = 4 << 20;
constexpr std::size_t smallest_piece = 64 << 10;

// By who has pinned it, and its size.
struct Kept {
  std::mutex mutex;
  std::multimap<std::tuple<Runtime*, int, std::size_t>, std::byte*> memory;
  std::vector<std::tuple<Runtime*, int, std::byte*>> pinned;  // that the memory is part of
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
  const std::size_t slab = bytes < smallest_piece ? bytes : std::max(bytes, slab_bytes);
  void* pinned = nullptr;
  if (gpu->runtime().allocate_pinned(gpu->ordinal(), slab, &pinned) != 0)
    return {new std::byte[bytes], HostMemoryDeleter{}};
  auto* const first = static_cast<std::byte*>(pinned);
  const std::lock_guard guard(kept().mutex);
  kept().pinned.emplace_back(keep.pinned_by, keep.gpu, first);
  for (std::size_t at = bytes; at < slab; at += bytes)
    kept().memory.emplace(std::tuple{keep.pinned_by, keep.gpu, bytes}, first + at);
  return {first, keep};
}

void pin_ahead(const Gpu& gpu, std::size_t bytes, std::size_t count) {
  std::vector<HostMemory> memory(count);
  for (HostMemory& piece : memory) piece = host_memory(&gpu, bytes);
}

void unpin_what_is_kept() {
  const std::lock_guard guard(kept().mutex);
  for (const auto& [runtime, gpu, memory] : kept().pinned) runtime->free_pinned(gpu, memory);
  kept().pinned.clear();
  kept().memory.clear();
}

}  // namespace pccl::device
