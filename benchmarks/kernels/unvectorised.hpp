#pragma once

#include "kernels/dispatch.hpp"

namespace pccl::kernels {

extern const KernelSet unvectorised_kernels;

}  // namespace pccl::kernels
