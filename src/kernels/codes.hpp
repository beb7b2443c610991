// The sizes of codes (base/quantization.hpp), and how narrow ones lie in bytes.
//
// Codes of 8 bits and more follow each other like any array. Of the narrower ones, 256 elements of
// a block make a group: with b bytes in the group, byte j holds the elements j, j + b, j + 2b, ...
// from its low bits up (so that a vector of codes is shifted and combined, never shuffled). The
// last group of a block may have fewer elements and is laid out like the others, over as many bytes
// as its codes need; what is left of the last bytes is zero.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/quantization.hpp"

namespace pccl::kernels {

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

}  // namespace pccl::kernels
