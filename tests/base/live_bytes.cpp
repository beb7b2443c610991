#include "base/live_bytes.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<std::size_t> live{0}, peak{0};

// The size stands before the block, in a header that keeps the block aligned for everything.
constexpr std::size_t header_bytes = alignof(std::max_align_t);

void* allocate(std::size_t bytes) {
  auto* const memory = static_cast<std::byte*>(std::malloc(bytes + header_bytes));
  if (memory == nullptr) throw std::bad_alloc();
  *reinterpret_cast<std::size_t*>(memory) = bytes;
  const std::size_t now = live += bytes;
  for (std::size_t seen = peak; seen < now && !peak.compare_exchange_weak(seen, now);) {
  }
  return memory + header_bytes;
}

void release(void* block) {
  if (block == nullptr) return;
  std::byte* const memory = static_cast<std::byte*>(block) - header_bytes;
  live -= *reinterpret_cast<std::size_t*>(memory);
  std::free(memory);
}

}  // namespace

void* operator new(std::size_t bytes) {
  return allocate(bytes);
}
void* operator new[](std::size_t bytes) {
  return allocate(bytes);
}
// std::stable_partition and the like; a sanitizer's own would not know our header.
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  try {
    return allocate(bytes);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void operator delete(void* block, const std::nothrow_t&) noexcept {
  release(block);
}
void operator delete(void* block) noexcept {
  release(block);
}
void operator delete[](void* block) noexcept {
  release(block);
}
void operator delete(void* block, std::size_t) noexcept {
  release(block);
}
void operator delete[](void* block, std::size_t) noexcept {
  release(block);
}

namespace pccl::test {

std::size_t live_bytes() {
  return live;
}
std::size_t peak_bytes() {
  return peak;
}
void start_peak() {
  peak = live.load();
}

}  // namespace pccl::test
