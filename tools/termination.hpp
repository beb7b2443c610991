// SIGINT and SIGTERM as something to wait for, not as an interruption.
#pragma once

#include <csignal>

namespace pccl_tools {

// Make one before any thread is started: threads inherit the mask, so the signals stay pending for
// wait().
class Termination {
 public:
  Termination() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGINT);
    sigaddset(&signals_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  }

  void wait() const {
    int signal = 0;
    while (sigwait(&signals_, &signal) != 0) {
    }
  }

 private:
  sigset_t signals_;
};

}  // namespace pccl_tools
