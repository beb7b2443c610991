// The element types as C++ types that convert to and from double.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "pccl.h"

namespace bench {

// The 16-bit types hold small values here: no infinities, no subnormals, no rounding to speak of.
struct Half {
  std::uint16_t bits = 0;
  Half() = default;
  explicit Half(double value) {
    const auto whole = std::bit_cast<std::uint32_t>(static_cast<float>(value));
    if (value == 0) return;
    const auto exponent = static_cast<int>(whole >> 23 & 0xff) - 127 + 15;
    bits = static_cast<std::uint16_t>(
        (whole >> 16 & 0x8000) | static_cast<unsigned>(exponent) << 10 | (whole >> 13 & 0x3ff));
  }
  explicit operator double() const {
    const double mantissa = 1 + (bits & 0x3ff) / 1024.0;
    const double magnitude = std::ldexp(mantissa, (bits >> 10 & 0x1f) - 15);
    if ((bits & 0x7fff) == 0) return 0;
    return (bits & 0x8000) != 0 ? -magnitude : magnitude;
  }
};

struct Bfloat {
  std::uint16_t bits = 0;
  Bfloat() = default;
  explicit Bfloat(double value)
      : bits(static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(static_cast<float>(value)) >>
                                        16)) {}
  explicit operator double() const {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
  }
};

// Calls `visitor` with a pointer of the element type.
template <typename Visitor>
auto with_type(pcclDataType_t type, Visitor visitor) {
  switch (type) {
    case pcclUint8:
      return visitor(static_cast<std::uint8_t*>(nullptr));
    case pcclInt8:
      return visitor(static_cast<std::int8_t*>(nullptr));
    case pcclInt16:
      return visitor(static_cast<std::int16_t*>(nullptr));
    case pcclUint16:
      return visitor(static_cast<std::uint16_t*>(nullptr));
    case pcclUint32:
      return visitor(static_cast<std::uint32_t*>(nullptr));
    case pcclInt32:
      return visitor(static_cast<std::int32_t*>(nullptr));
    case pcclUint64:
      return visitor(static_cast<std::uint64_t*>(nullptr));
    case pcclInt64:
      return visitor(static_cast<std::int64_t*>(nullptr));
    case pcclFloat16:
      return visitor(static_cast<Half*>(nullptr));
    case pcclBFloat16:
      return visitor(static_cast<Bfloat*>(nullptr));
    case pcclFloat:
      return visitor(static_cast<float*>(nullptr));
    default:  // pcclDouble
      break;
  }
  return visitor(static_cast<double*>(nullptr));
}

}  // namespace bench
