#include "base/status.hpp"
#include "kernels/cuda/elements.hpp"
#include "kernels/cuda/kernels.hpp"

namespace pccl::kernels::cuda {

// quantize_<type>.cu
template <DataType type>
int quantize_type(Code code, const QuantizeStep& step, Stream stream);
template <DataType type>
int dequantize_type(Code code, const DequantizeStep& step, Stream stream);
template <DataType type>
int load_type(Code code);

namespace {

bool is_float(DataType type) {
  return type >= DataType::float16;
}

}  // namespace

int quantize(DataType type, Code code, const QuantizeStep& step, Stream stream) {
  PCCL_INVARIANT(is_float(type) && step.block_elements > 0);
  if (step.count == 0) return 0;
  return with_float_type(type, [&]<DataType t>() { return quantize_type<t>(code, step, stream); });
}

int dequantize(DataType type, Code code, const DequantizeStep& step, Stream stream) {
  PCCL_INVARIANT(is_float(type) && step.block_elements > 0);
  if (step.count == 0) return 0;
  return with_float_type(type,
                         [&]<DataType t>() { return dequantize_type<t>(code, step, stream); });
}

int load_quantize(DataType type, Code code) {
  PCCL_INVARIANT(is_float(type));
  return with_float_type(type, [&]<DataType t>() { return load_type<t>(code); });
}

}  // namespace pccl::kernels::cuda
