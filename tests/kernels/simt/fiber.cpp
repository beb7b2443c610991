#undef _FORTIFY_SOURCE  // its longjmp knows one stack only
#include "fiber.hpp"

#if defined(__SANITIZE_ADDRESS__)
#define PCCL_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PCCL_ASAN 1
#endif
#endif
#if defined(PCCL_ASAN)
#include <sanitizer/common_interface_defs.h>
#endif

namespace pccl_test::simt {

namespace {

constexpr std::size_t stack_bytes = 128 << 10;  // with room for a sanitizer's frames

}  // namespace

Fiber* Fiber::running_ = nullptr;
Fiber::Place Fiber::outside_;

Fiber::Fiber() : stack_(std::make_unique_for_overwrite<std::byte[]>(stack_bytes)) {
  getcontext(&place_.context);
  place_.context.uc_stack.ss_sp = stack_.get();
  place_.context.uc_stack.ss_size = stack_bytes;
  place_.context.uc_link = nullptr;
  place_.stack = stack_.get();
  place_.stack_bytes = stack_bytes;
  place_.begun = false;
  makecontext(&place_.context, &Fiber::main, 0);
}

void Fiber::begin(const std::function<void()>& body) {
  body_ = &body;
}

void Fiber::resume() {
  running_ = this;
  move(outside_, place_);
}

void Fiber::stop() {
  move(running_->place_, outside_);
}

void Fiber::main() {
#if defined(PCCL_ASAN)
  __sanitizer_finish_switch_fiber(nullptr, &outside_.stack, &outside_.stack_bytes);
#endif
  for (;;) {
    (*running_->body_)();
    running_->body_ = nullptr;
    stop();
  }
}

#if defined(PCCL_ASAN)

void Fiber::move(Place& from, Place& to) {
  void* frames = nullptr;
  __sanitizer_start_switch_fiber(&frames, to.stack, to.stack_bytes);
  swapcontext(&from.context, &to.context);
  __sanitizer_finish_switch_fiber(frames, nullptr, nullptr);
}

#else

// swapcontext() asks the kernel for the signal mask each time; longjmp does not.
[[gnu::noinline]] void Fiber::move(Place& from, Place& to) {
  if (_setjmp(from.registers) != 0) return;
  if (to.begun) _longjmp(to.registers, 1);
  to.begun = true;
  setcontext(&to.context);
}

#endif

}  // namespace pccl_test::simt
