// Whether the application wants out of a call that blocks (pcclSetInterruptCheck). Any thread.
#pragma once

#include "base/time.hpp"

namespace pccl {

using InterruptCheck = bool (*)();

// A thread that waits asks so often; a person who has pressed Ctrl-C does not notice.
inline constexpr Duration interrupt_check_interval = std::chrono::milliseconds(100);

void set_interrupt_check(InterruptCheck check);  // null: none
bool has_interrupt_check();
bool application_interrupts();  // asks, on this thread, which holds no lock of ours

}  // namespace pccl
