// In builds without CUDA.
#include "device/runtime.hpp"

namespace pccl::device {

Runtime* cuda_runtime();

Runtime* cuda_runtime() {
  return nullptr;
}

}  // namespace pccl::device
