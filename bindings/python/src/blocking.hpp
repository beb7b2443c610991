// Calls of libpccl that block: without the GIL, and left when a Python signal handler raises.
#pragma once

#include <pccl.h>
#include <pybind11/pybind11.h>

namespace pccl_python {

// From now on a blocked main thread runs Python's signal handlers. Once, at import.
void watch_signals();

// After PyEval_SaveThread. A thread that comes back while the interpreter ends waits here for the
// end of the process, as with Python 3.14: before that Python unwinds its stack, which C++ frames
// do not survive.
void take_gil_back(PyThreadState* thread);

template <typename Call>
pcclResult_t without_gil(const Call& call) {
  PyThreadState* const thread = PyEval_SaveThread();
  const pcclResult_t result = call();  // of the C interface: it throws nothing
  take_gil_back(thread);
  return result;
}

// Throws what a signal handler has raised meanwhile: KeyboardInterrupt for Ctrl-C.
template <typename Call>
int blocking(const Call& call) {
  const pcclResult_t result = without_gil(call);
  if (PyErr_Occurred() != nullptr) throw pybind11::error_already_set();
  return static_cast<int>(result);
}

}  // namespace pccl_python
