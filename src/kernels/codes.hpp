// What a quantized element may look like, and how narrow ones lie in bytes.
//
// Codes of 8 bits and more follow each other like any array. Of the narrower ones, 256 elements of
// a block make a group: with b bytes in the group, byte j holds the elements j, j + b, j + 2b, ...
// from its low bits up (so that a vector of codes is shifted and combined, never shuffled). The
// last group of a block may have fewer elements and is laid out like the others, over as many bytes
// as its codes need; what is left of the last bytes is zero.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pccl::kernels {

// The first eight have the numbers of DataType.
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

inline constexpr std::size_t code_group_elements = 256;

constexpr bool is_integer(Code code) {
  return code < Code::float8_e4m3;
}

constexpr std::size_t bits_of(Code code) {
  switch (code) {
    case Code::uint2:
      return 2;
    case Code::uint4:
    case Code::float4_e3m0:
      return 4;
    case Code::uint8:
    case Code::int8:
    case Code::float8_e4m3:
    case Code::float8_e5m2:
      return 8;
    case Code::int16:
    case Code::uint16:
      return 16;
    case Code::uint32:
    case Code::int32:
      return 32;
    case Code::uint64:
    case Code::int64:
      return 64;
  }
  return 0;
}

// Steps between the lowest and the highest level of an integer code. 64 bits have only as many as a
// float64 can count.
constexpr double steps_of(Code code) {
  const std::size_t bits = bits_of(code) < 52 ? bits_of(code) : 52;
  return static_cast<double>((std::uint64_t{1} << bits) - 1);
}

constexpr std::string_view name_of(Code code) {
  constexpr std::string_view names[code_count] = {
      "uint8", "int8",  "int16", "uint16",      "uint32",      "int32",      "uint64",
      "int64", "uint4", "uint2", "float8_e4m3", "float8_e5m2", "float4_e3m0"};
  return names[static_cast<std::size_t>(code)];
}

}  // namespace pccl::kernels
