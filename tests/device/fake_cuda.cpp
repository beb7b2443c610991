// As much of CUDA's driver as tells where bytes live: whoever loads it says so of two stretches of
// its own memory.
#include <cstddef>
#include <cstdint>

namespace {

struct Stretch {
  std::uintptr_t begin = 0, end = 0;
  bool has(std::uintptr_t at) const { return at >= begin && at < end; }
};
Stretch on_a_gpu, managed, pinned;
int failure = 0;

Stretch stretch(const void* begin, std::size_t bytes) {
  const auto at = reinterpret_cast<std::uintptr_t>(begin);
  return {at, at + bytes};
}

}  // namespace

extern "C" {

__attribute__((visibility("default"))) void fakeGpuMemory(const void* begin, std::size_t bytes) {
  on_a_gpu = stretch(begin, bytes);
}
__attribute__((visibility("default"))) void fakeManaged(const void* begin, std::size_t bytes) {
  managed = stretch(begin, bytes);
}
__attribute__((visibility("default"))) void fakePinned(const void* begin, std::size_t bytes) {
  pinned = stretch(begin, bytes);
}

__attribute__((visibility("default"))) void fakeFailure(int error) {
  failure = error;
}

__attribute__((visibility("default"))) int cuPointerGetAttribute(void* value, int attribute,
                                                                 std::uintptr_t at) {
  if (failure != 0) return failure;
  if (!on_a_gpu.has(at) && !managed.has(at) && !pinned.has(at)) return 1;  // invalid value
  if (attribute == 2) {
    *static_cast<unsigned*>(value) = pinned.has(at) ? 1 : 2;
    return 0;
  }
  if (attribute == 8) {
    *static_cast<unsigned*>(value) = managed.has(at) ? 1 : 0;
    return 0;
  }
  return 1;
}
}
