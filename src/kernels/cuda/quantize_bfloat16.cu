#include "kernels/cuda/quantize.cuh"

namespace pccl::kernels::cuda {

template int quantize_type<DataType::bfloat16>(Code, const QuantizeStep&, Stream);
template int dequantize_type<DataType::bfloat16>(Code, const DequantizeStep&, Stream);
template int load_type<DataType::bfloat16>(Code);

}  // namespace pccl::kernels::cuda
