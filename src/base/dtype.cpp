#include "base/dtype.hpp"

namespace pccl {

std::string_view name_of(DataType type) {
  constexpr std::string_view names[] = {"uint8",   "int8",     "int16",   "uint16",
                                        "uint32",  "int32",    "uint64",  "int64",
                                        "float16", "bfloat16", "float32", "float64"};
  const auto index = static_cast<std::size_t>(type);
  return index < data_type_count ? names[index] : "unknown type";
}

std::string_view name_of(RedOp op) {
  constexpr std::string_view names[] = {"sum", "avg", "prod", "max", "min"};
  const auto index = static_cast<std::size_t>(op);
  return index < red_op_count ? names[index] : "unknown op";
}

}  // namespace pccl
