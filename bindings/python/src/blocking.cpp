#include "blocking.hpp"

#include <unistd.h>

#include <atomic>

namespace py = pybind11;

namespace pccl_python {

namespace {

std::atomic<unsigned long> main_thread{0};

// Only the main thread runs signal handlers; others would take the GIL for nothing. What a handler
// raises stays the thread's error until blocking() has the GIL back.
bool a_handler_raises() {
  if (PyThread_get_thread_ident() != main_thread) return false;
  const PyGILState_STATE gil = PyGILState_Ensure();
  const bool raises = PyErr_Occurred() != nullptr || PyErr_CheckSignals() != 0;
  PyGILState_Release(gil);
  return raises;
}

// Never lets the unwinding of a thread pass.
class UnwindingEndsHere {
 public:
  UnwindingEndsHere() = default;
  ~UnwindingEndsHere() {
    while (!open_) pause();
  }
  UnwindingEndsHere(const UnwindingEndsHere&) = delete;
  UnwindingEndsHere& operator=(const UnwindingEndsHere&) = delete;

  void open() { open_ = true; }

 private:
  bool open_ = false;
};

}  // namespace

void take_gil_back(PyThreadState* thread) {
  UnwindingEndsHere barrier;
  PyEval_RestoreThread(thread);
  barrier.open();
}

void watch_signals() {
  main_thread =
      py::module_::import("threading").attr("main_thread")().attr("ident").cast<unsigned long>();
  pcclSetInterruptCheck(a_handler_raises);
}

}  // namespace pccl_python
