#include "device/host_memory.hpp"

namespace pccl::device {

void HostMemoryDeleter::operator()(std::byte* memory) const {
  if (pinned_by != nullptr)
    pinned_by->free_pinned(memory);
  else
    delete[] memory;
}

HostMemory host_memory(Runtime* runtime, std::size_t bytes) {
  void* pinned = nullptr;
  if (runtime != nullptr && runtime->allocate_pinned(bytes, &pinned) == 0)
    return {static_cast<std::byte*>(pinned), HostMemoryDeleter{runtime}};
  return {new std::byte[bytes], HostMemoryDeleter{}};
}

}  // namespace pccl::device
