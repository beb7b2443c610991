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

struct Slab {
  Runtime* pinned_by;
  int gpu;
  std::byte* memory;
  std::size_t bytes;
};

// By who has pinned it, and its size.
struct Kept {
  std::mutex mutex;
  std::multimap<std::tuple<Runtime*, int, std::size_t>, std::byte*> memory;
  std::vector<Slab> pinned;  // that the memory is part of
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
  kept().pinned.push_back({keep.pinned_by, keep.gpu, first, slab});
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
  std::erase_if(kept().pinned, [](const Slab& slab) {
    const auto of_slab = [&](const auto& piece) {
      return piece.second >= slab.memory && piece.second < slab.memory + slab.bytes;
    };
    std::size_t here = 0;
    for (const auto& piece : kept().memory)
      if (of_slab(piece)) here += std::get<std::size_t>(piece.first);
    if (here < slab.bytes) return false;
    std::erase_if(kept().memory, of_slab);
    slab.pinned_by->free_pinned(slab.gpu, slab.memory);
    return true;
  });
}

}  // namespace pccl::device
