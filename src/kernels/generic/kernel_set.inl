// All that a set consists of. The kernels.cpp of each instruction set includes this page inside its
// target region and its own namespace, after defining `Float16Lanes` (reduce.inl) and `Lookup`
// (quantize.inl).
#include "kernels/generic/arithmetic.inl"
#include "kernels/generic/reduce.inl"
#include "kernels/generic/convert.inl"
#include "kernels/generic/coders.inl"
#include "kernels/generic/quantize.inl"

constexpr KernelSet make_kernel_set(std::string_view name) {
  return {.name = name,
          .types = type_kernels(),
          .conversions = conversion_kernels(),
          .quantization = quantization_kernels()};
}
