#include "kernels/convert.hpp"

#include "base/status.hpp"
#include "kernels/dispatch.hpp"

namespace pccl::kernels {

void widen(DataType half_type, float* to, const void* from, std::size_t count) {
  PCCL_INVARIANT(half_type == DataType::float16 || half_type == DataType::bfloat16);
  chosen_kernel_set().widen(half_type, to, from, count);
}

void narrow(DataType half_type, void* to, const float* from, std::size_t count) {
  PCCL_INVARIANT(half_type == DataType::float16 || half_type == DataType::bfloat16);
  chosen_kernel_set().narrow(half_type, to, from, count);
}

}  // namespace pccl::kernels
