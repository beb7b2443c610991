#include "kernels/cuda/quantize.cuh"

namespace pccl::kernels::cuda {

template int quantize_type<DataType::float32>(Code, const QuantizeStep&, Stream);
template int dequantize_type<DataType::float32>(Code, const DequantizeStep&, Stream);

}  // namespace pccl::kernels::cuda
