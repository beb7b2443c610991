// pcclMasterInstance_t for Python.
#pragma once

#include <pccl.h>
#include <pybind11/pybind11.h>
#include <unistd.h>

#include <cstdint>
#include <string>

namespace pccl_python {

class Master {
 public:
  Master(const std::string& ip, std::uint16_t port);
  ~Master();  // stops one that runs; a forked process lets go of what it has inherited
  Master(const Master&) = delete;
  Master& operator=(const Master&) = delete;

  int run();
  int interrupt();
  int await_termination();

 private:
  pcclMasterInstance_t* handle_ = nullptr;
  pid_t process_ = getpid();
};

void bind_master(pybind11::module_& module);

}  // namespace pccl_python
