#include "base/quantization.hpp"

#include <cstddef>

namespace pccl {

std::string_view name_of(QuantizationAlgorithm algorithm) {
  constexpr std::string_view names[] = {"not quantized", "min-max", "zero-point-scale", "scale"};
  const auto index = static_cast<std::size_t>(algorithm);
  return index < quantization_algorithm_count ? names[index] : "unknown quantization";
}

std::string_view name_of(Code code) {
  constexpr std::string_view names[] = {
      "uint8", "int8",  "int16", "uint16",      "uint32",      "int32",      "uint64",
      "int64", "uint4", "uint2", "float8_e4m3", "float8_e5m2", "float4_e3m0"};
  const auto index = static_cast<std::size_t>(code);
  return index < code_count ? names[index] : "unknown code";
}

}  // namespace pccl
