// pccl._core: libpccl as Python sees it from below. Private; the package's own modules are the
// interface.
#include <pccl.h>
#include <pybind11/pybind11.h>

#include <cstdint>

#include "blocking.hpp"
#include "communicator.hpp"
#include "dlpack.hpp"
#include "error_feedback.hpp"
#include "master.hpp"

PYBIND11_MODULE(_core, module) {
  pcclInit();
  pccl_python::watch_signals();
  pccl_python::bind_error_feedback(module);
  pccl_python::bind_communicator(module);
  pccl_python::bind_master(module);
  pccl_python::bind_dlpack(module);
  module.def("version", [] { return pcclGetVersion(); });
  module.def("has_cuda_support", [] {
    pcclBuildInfo_t info{};
    pcclGetBuildInfo(&info);
    return info.has_cuda_support;
  });
  module.def("buffer_address", [](const pybind11::buffer& buffer) {
    return reinterpret_cast<std::uintptr_t>(buffer.request().ptr);
  });
  module.def("error_string",
             [](int code) { return pcclGetErrorString(static_cast<pcclResult_t>(code)); });
}
