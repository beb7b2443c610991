// The element types and reductions of the public header, with the same numeric values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pccl {

enum class DataType : std::uint8_t {
  uint8 = 0,
  int8 = 1,
  int16 = 2,
  uint16 = 3,
  uint32 = 4,
  int32 = 5,
  uint64 = 6,
  int64 = 7,
  float16 = 8,
  bfloat16 = 9,
  float32 = 10,
  float64 = 11,
};
inline constexpr std::uint8_t data_type_count = 12;

enum class RedOp : std::uint8_t { sum = 0, avg = 1, prod = 2, max = 3, min = 4 };
inline constexpr std::uint8_t red_op_count = 5;

constexpr std::size_t size_of(DataType type) {
  switch (type) {
    case DataType::uint8:
    case DataType::int8:
      return 1;
    case DataType::int16:
    case DataType::uint16:
    case DataType::float16:
    case DataType::bfloat16:
      return 2;
    case DataType::uint32:
    case DataType::int32:
    case DataType::float32:
      return 4;
    case DataType::uint64:
    case DataType::int64:
    case DataType::float64:
      return 8;
  }
  return 0;
}

std::string_view name_of(DataType type);
std::string_view name_of(RedOp op);

}  // namespace pccl
