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
  void fail(int error) { say("fakeFailure", error); }  // to everybody who asks; 0: no more

 private:
  template <typename... Arguments>
  void say(const char* function, Arguments... arguments) {
    const auto call = reinterpret_cast<void (*)(Arguments...)>(dlsym(library_, function));
    ASSERT_NE(call, nullptr);
    call(arguments...);
  }

  void* library_ = dlopen(FAKE_CUDA, RTLD_LAZY);
};

}  // namespace pccl_test
