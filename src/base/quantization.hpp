// How a quantized op's elements travel, with the numeric values of the public header.
#pragma once

#include <cstdint>
#include <string_view>

namespace pccl {

// Where the levels of integer codes lie within the range of a block, and that of float codes.
enum class QuantizationAlgorithm : std::uint8_t {
  none = 0,
  min_max = 1,           // evenly from the lowest to the highest element
  zero_point_scale = 2,  // as min_max, but moved by up to half a step so that 0 is one of them
  scale = 3,             // float codes, times one number per block
};
inline constexpr std::uint8_t quantization_algorithm_count = 4;

// What a quantized element may look like. The first eight have the numbers of DataType.
enum class Code : std::uint8_t {
  uint8 = 0,
  int8 = 1,
  int16 = 2,
  uint16 = 3,
  uint32 = 4,
  int32 = 5,
  uint64 = 6,
  int64 = 7,
  uint4 = 8,
  uint2 = 9,
  float8_e4m3 = 10,  // OCP FP8: sign, 4 bits of exponent (bias 7), 3 of fraction; up to 448
  float8_e5m2 = 11,  // OCP FP8: sign, 5 bits of exponent (bias 15), 2 of fraction; up to 57344
  float4_e3m0 = 12,  // sign, 3 bits of exponent: 0 and the powers of two over a range of 1 : 64
};
inline constexpr std::uint8_t code_count = 13;

struct QuantizationOptions {
  QuantizationAlgorithm algorithm = QuantizationAlgorithm::none;
  Code code = Code::uint8;

  explicit operator bool() const { return algorithm != QuantizationAlgorithm::none; }
  bool operator==(const QuantizationOptions&) const = default;
};

std::string_view name_of(QuantizationAlgorithm algorithm);
std::string_view name_of(Code code);

}  // namespace pccl
