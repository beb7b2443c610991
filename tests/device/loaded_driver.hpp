// The stand-in for CUDA's driver (fake_cuda.cpp), loaded into this process for good.
#pragma once

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstddef>

namespace pccl_test {

class LoadedDriver {
 public:
  LoadedDriver() { EXPECT_NE(library_, nullptr) << dlerror(); }

  void gpu_memory(const void* at, std::size_t bytes) { say("fakeGpuMemory", at, bytes); }
  void managed(const void* at, std::size_t bytes) { say("fakeManaged", at, bytes); }
  void pinned(const void* at, std::size_t bytes) { say("fakePinned", at, bytes); }

 private:
  void say(const char* function, const void* at, std::size_t bytes) {
    using Function = void (*)(const void*, std::size_t);
    const auto call = reinterpret_cast<Function>(dlsym(library_, function));
    ASSERT_NE(call, nullptr);
    call(at, bytes);
  }

  void* library_ = dlopen(FAKE_CUDA, RTLD_LAZY);
};

}  // namespace pccl_test
