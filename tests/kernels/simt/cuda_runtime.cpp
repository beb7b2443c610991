#include "cuda_runtime.h"

#include <algorithm>
#include <cstdlib>
#include <map>

#if __has_include(<sanitizer/asan_interface.h>)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, bytes) void()
#define ASAN_UNPOISON_MEMORY_REGION(at, bytes) void()
#endif

namespace {

// In front of and behind all memory are bytes that nobody may write; with AddressSanitizer nobody
// may read them either.
constexpr std::size_t guard_bytes = 256;  // as CUDA's memory is aligned
constexpr std::byte guard{0x5a};

std::map<void*, std::size_t>& sizes() {
  static std::map<void*, std::size_t> sizes;
  return sizes;
}

bool is_guard(const std::byte* at) {
  return std::all_of(at, at + guard_bytes, [](std::byte byte) { return byte == guard; });
}

}  // namespace

cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  const std::size_t whole = (bytes + 3 * guard_bytes - 1) / guard_bytes * guard_bytes;
  auto* const front = static_cast<std::byte*>(std::aligned_alloc(guard_bytes, whole));
  std::byte* const data = front + guard_bytes;
  std::fill_n(front, whole, guard);  // what is not written is telling, too
  ASAN_POISON_MEMORY_REGION(front, guard_bytes);
  ASAN_POISON_MEMORY_REGION(data + bytes, whole - guard_bytes - bytes);
  sizes()[data] = bytes;
  *memory = data;
  return cudaSuccess;
}

cudaError_t cudaFree(void* memory) {
  const auto found = sizes().find(memory);
  if (found == sizes().end()) return cudaErrorInvalidValue;
  auto* const data = static_cast<std::byte*>(memory);
  std::byte* const front = data - guard_bytes;
  ASAN_UNPOISON_MEMORY_REGION(front, found->second + 2 * guard_bytes);
  EXPECT_TRUE(is_guard(front)) << "a write in front of memory of " << found->second;
  EXPECT_TRUE(is_guard(data + found->second)) << "a write behind memory of " << found->second;
  std::free(front);
  sizes().erase(found);
  return cudaSuccess;
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind) {
  std::memcpy(to, from, bytes);
  return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() {  // launches are over when they return
  return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}

const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaSuccess ? "no error" : "a launch that went wrong, or could not be";
}
