#include "master.hpp"

#include <stdexcept>

#include "address.hpp"
#include "blocking.hpp"

namespace py = pybind11;

namespace pccl_python {

Master::Master(const std::string& ip, std::uint16_t port) {
  if (pcclCreateMaster(socket_address(ip, port), &handle_) != pcclSuccess)
    throw std::runtime_error("pcclCreateMaster failed");
}

Master::~Master() {
  if (process_ != getpid()) return;
  without_gil([this] { return pcclDestroyMaster(handle_); });
}

int Master::run() {
  return blocking([this] { return pcclRunMaster(handle_); });
}

int Master::interrupt() {
  return static_cast<int>(pcclInterruptMaster(handle_));
}

int Master::await_termination() {
  return blocking([this] { return pcclMasterAwaitTermination(handle_); });
}

void bind_master(py::module_& module) {
  py::class_<Master>(module, "Master")
      .def(py::init<const std::string&, std::uint16_t>())
      .def("run", &Master::run)
      .def("interrupt", &Master::interrupt)
      .def("await_termination", &Master::await_termination);
}

}  // namespace pccl_python
