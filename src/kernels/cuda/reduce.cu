#include "kernels/cuda/kernels.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/reduce_body.hpp"

namespace pccl::kernels::cuda {

namespace {

template <DataType type, RedOp op, bool vectors>
__global__ void __launch_bounds__(threads_of_block)
    reduce_kernel(void* out, const void* a, const void* b, std::size_t count) {
  reduce_part<type, op, vectors>(out, a, b, count,
                                 std::size_t{blockIdx.x} * blockDim.x + threadIdx.x,
                                 std::size_t{gridDim.x} * blockDim.x);
}

template <DataType type>
__global__ void __launch_bounds__(threads_of_block)
    average_kernel(void* data, std::size_t count, std::uint32_t world_size) {
  average_part<type>(data, count, world_size, std::size_t{blockIdx.x} * blockDim.x + threadIdx.x,
                     std::size_t{gridDim.x} * blockDim.x);
}

}  // namespace

int reduce(RedOp op, DataType type, void* out, const void* a, const void* b, std::size_t count,
           Stream stream) {
  if (count == 0) return 0;
  const bool vectors = are_vectors(out, a, b);
  const std::size_t pieces = vectors ? count * size_of(type) / vector_bytes : count;
  const unsigned blocks = blocks_for(pieces / threads_of_block + 1);
  return with_type(type, [&]<DataType t>() {
    return with_op(op, [&]<RedOp o>() {
      return vectors ? launch(reduce_kernel<t, o, true>, blocks, threads_of_block, stream, out, a,
                              b, count)
                     : launch(reduce_kernel<t, o, false>, blocks, threads_of_block, stream, out, a,
                              b, count);
    });
  });
}

int finalize(RedOp op, DataType type, void* data, std::size_t count, std::uint32_t world_size,
             Stream stream) {
  if (op != RedOp::avg || count == 0) return 0;
  const unsigned blocks = blocks_for(count / threads_of_block + 1);
  return with_type(type, [&]<DataType t>() {
    return launch(average_kernel<t>, blocks, threads_of_block, stream, data, count, world_size);
  });
}

int load_reduce(RedOp op, DataType type) {
  return with_type(type, [&]<DataType t>() {
    int error = with_op(op, [&]<RedOp o>() {
      const int with_vectors = load(reduce_kernel<t, o, true>);
      return with_vectors != 0 ? with_vectors : load(reduce_kernel<t, o, false>);
    });
    if (error == 0 && op == RedOp::avg) error = load(average_kernel<t>);
    return error;
  });
}

}  // namespace pccl::kernels::cuda
