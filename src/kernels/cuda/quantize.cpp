#include "base/status.hpp"
#include "kernels/cuda/kernels.hpp"

namespace pccl::kernels::cuda {

// quantize_<type>.cu
template <DataType type>
int quantize_type(Code code, const QuantizeStep& step, Stream stream);
template <DataType type>
int dequantize_type(Code code, const DequantizeStep& step, Stream stream);

int quantize(DataType type, Code code, const QuantizeStep& step, Stream stream) {
  PCCL_INVARIANT(step.block_elements > 0 && step.block_elements <= most_block_elements);
  if (step.count == 0) return 0;
  switch (type) {
    case DataType::float16:
      return quantize_type<DataType::float16>(code, step, stream);
    case DataType::bfloat16:
      return quantize_type<DataType::bfloat16>(code, step, stream);
    case DataType::float32:
      return quantize_type<DataType::float32>(code, step, stream);
    default:
      PCCL_INVARIANT(type == DataType::float64);
      return quantize_type<DataType::float64>(code, step, stream);
  }
}

int dequantize(DataType type, Code code, const DequantizeStep& step, Stream stream) {
  PCCL_INVARIANT(step.block_elements > 0);
  if (step.count == 0) return 0;
  switch (type) {
    case DataType::float16:
      return dequantize_type<DataType::float16>(code, step, stream);
    case DataType::bfloat16:
      return dequantize_type<DataType::bfloat16>(code, step, stream);
    case DataType::float32:
      return dequantize_type<DataType::float32>(code, step, stream);
    default:
      PCCL_INVARIANT(type == DataType::float64);
      return dequantize_type<DataType::float64>(code, step, stream);
  }
}

}  // namespace pccl::kernels::cuda
