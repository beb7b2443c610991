#include "kernels/reduce.hpp"

#include "base/status.hpp"
#include "kernels/dispatch.hpp"

namespace pccl::kernels {

void reduce(RedOp op, DataType type, void* out, const void* a, const void* b, std::size_t count) {
  PCCL_INVARIANT(static_cast<std::uint8_t>(op) < red_op_count);
  PCCL_INVARIANT(static_cast<std::uint8_t>(type) < data_type_count);
  chosen_kernel_set().reduce(op, type, out, a, b, count);
}

void finalize(RedOp op, DataType type, void* data, std::size_t count, std::uint32_t world_size) {
  PCCL_INVARIANT(static_cast<std::uint8_t>(type) < data_type_count);
  PCCL_INVARIANT(world_size > 0);
  if (op != RedOp::avg) return;
  chosen_kernel_set().average(type, data, count, world_size);
}

}  // namespace pccl::kernels
