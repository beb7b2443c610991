#include "device/stream_wait.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/interrupt_check.hpp"
#include "base/time.hpp"
#include "device/gpu.hpp"

namespace pccl::device {

namespace {

constexpr Duration first_pause = std::chrono::microseconds(10);
constexpr Duration longest_pause = std::chrono::milliseconds(1);

Instant now() {
  return std::chrono::steady_clock::now();
}

}  // namespace

bool wait_for_stream(int gpu, Stream application, const std::function<bool()>& give_up) {
  const auto queue = Gpu::at(gpu)->queue();
  queue->lingers = true;  // else to give it back would be the wait that is given up
  queue->follow(application);
  Instant asks_again = now() + interrupt_check_interval;
  for (Duration pause = first_pause; !queue->ended(); pause = std::min(2 * pause, longest_pause)) {
    if (now() >= asks_again) {
      if (give_up()) return false;
      asks_again = now() + interrupt_check_interval;
    }
    std::this_thread::sleep_for(pause);
  }
  if (queue->error() != 0)
    throw Error(queue->runtime(), gpu, "the application's stream has failed", queue->error());
  return true;
}

}  // namespace pccl::device
