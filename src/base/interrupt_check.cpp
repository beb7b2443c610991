#include "base/interrupt_check.hpp"

#include <atomic>

namespace pccl {

namespace {

std::atomic<InterruptCheck> current_check{nullptr};

}

void set_interrupt_check(InterruptCheck check) {
  current_check.store(check, std::memory_order_release);
}

bool has_interrupt_check() {
  return current_check.load(std::memory_order_acquire) != nullptr;
}

bool application_interrupts() {
  const InterruptCheck check = current_check.load(std::memory_order_acquire);
  return check != nullptr && check();
}

}  // namespace pccl
