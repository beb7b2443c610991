// Calls of libpccl that block: without the GIL, and left when a Python signal handler raises.
#pragma once

#include <pccl.h>
#include <pybind11/pybind11.h>

#include <utility>

namespace pccl_python {

// From now on a blocked main thread runs Python's signal handlers. Once, at import.
void watch_signals();

// Throws what a signal handler has raised meanwhile: KeyboardInterrupt for Ctrl-C.
template <typename Call>
int blocking(Call&& call) {
  pcclResult_t result = pcclSuccess;
  {
    const pybind11::gil_scoped_release released;
    result = std::forward<Call>(call)();
  }
  if (PyErr_Occurred() != nullptr) throw pybind11::error_already_set();
  return static_cast<int>(result);
}

}  // namespace pccl_python
