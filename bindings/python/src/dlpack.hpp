// What a DLPack capsule says of a tensor (https://dmlc.github.io/dlpack/latest/, versions 0 and 1
// of the ABI).
#pragma once

#include <pybind11/pybind11.h>

namespace pccl_python {

void bind_dlpack(pybind11::module_& module);

}  // namespace pccl_python
