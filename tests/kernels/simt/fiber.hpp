// A function that can stop in its middle and go on later, on a stack of its own.
#pragma once

#include <csetjmp>
#include <cstddef>
#include <functional>
#include <memory>

#include <ucontext.h>

namespace pccl_test::simt {

// All on one thread of the operating system. One that is destroyed in its middle is not unwound.
class Fiber {
 public:
  Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  void begin(const std::function<void()>& body);  // which lives until it is done
  void resume();                                  // to the next stop() or the end
  bool done() const { return body_ == nullptr; }

  static void stop();  // called in a fiber

 private:
  struct Place {  // in a stack that is not running
    ucontext_t context;
    std::jmp_buf registers;
    bool begun = true;
    const void* stack = nullptr;
    std::size_t stack_bytes = 0;
  };
  static void main();
  static void move(Place& from, Place& to);

  static Fiber* running_;
  static Place outside_;

  std::unique_ptr<std::byte[]> stack_;
  Place place_;
  const std::function<void()>* body_ = nullptr;
};

}  // namespace pccl_test::simt
