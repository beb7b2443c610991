// Elements as a GPU keeps them in memory, and what the instruction sets of CPUs do with them
// (generic/arithmetic.inl, generic/coders.inl): the same source, and so the same bits.
//
// The compiler for the GPU must not fuse a multiplication and an addition (--fmad=false), nor flush
// denormals or divide approximately (its defaults).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>

#include "base/dtype.hpp"
#include "kernels/cuda/anywhere.hpp"
#include "kernels/grid.hpp"

namespace pccl::kernels::cuda {

#include "kernels/generic/arithmetic.inl"
// arithmetic.inl goes first.
#include "kernels/generic/coders.inl"

template <typename T>
constexpr T settled(T value) {  // the canonical NaN for any
  return value == value ? value : std::numeric_limits<T>::quiet_NaN();
}

// `Stored` is what lies in memory, `Value` what is computed with.
template <typename T>
struct IntegerElement {
  using Stored = T;
  using Value = T;
  static constexpr Value load(Stored stored) { return stored; }
  static constexpr Stored store(Value value) { return value; }
  template <RedOp op>
  static constexpr Stored combine(Stored a, Stored b) {
    return IntegerArithmetic < op == RedOp::avg ? RedOp::sum : op > ::combine(a, b);
  }
  static constexpr Stored average(Stored sum, std::uint32_t world_size) {
    return averaged_integer(sum, world_size);
  }
};

// `Format` converts between `Stored` and `Value`; the patterns are those of `Bits`.
template <typename Format, typename Bits, Bits infinity, Bits nan>
struct FloatElement : Format {
  using Stored = typename Format::Stored;
  using Value = typename Format::Value;
  template <RedOp op>
  static constexpr Stored combine(Stored a, Stored b) {
    if constexpr (op == RedOp::max || op == RedOp::min)
      return std::bit_cast<Stored>(Extreme<op, Bits, infinity, nan>::combine(
          std::bit_cast<Bits>(a), std::bit_cast<Bits>(b)));
    else
      return Format::store(Arithmetic < op == RedOp::avg
                               ? RedOp::sum
                               : op > ::combine(Format::load(a), Format::load(b)));
  }
  static constexpr Stored average(Stored sum, std::uint32_t world_size) {
    return Format::store(Format::load(sum) / static_cast<Value>(world_size));
  }
};

template <typename T>
struct PlainFormat {
  using Stored = T;
  using Value = T;
  static constexpr Value load(Stored stored) { return stored; }
  static constexpr Stored store(Value value) { return settled(value); }
};
// A GPU's own conversions are of the same numbers; of NaN they make another one. (In PTX: CUDA's
// header for them needs one more package.)
struct Float16Format {
  using Stored = std::uint16_t;
  using Value = float;
#if defined(__CUDA_ARCH__)
  static __device__ Value load(Stored stored) {
    Value value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(stored));
    return value;
  }
  static __device__ Stored store(Value value) {
    Stored stored;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(stored) : "f"(value));
    return value == value ? stored : float16_nan.bits;
  }
#else
  static constexpr Value load(Stored stored) { return widen(Float16{stored}); }
  static constexpr Stored store(Value value) { return narrow_to_float16(value).bits; }
#endif
};
struct BFloat16Format {
  using Stored = std::uint16_t;
  using Value = float;
  static constexpr Value load(Stored stored) { return widen(BFloat16{stored}); }
  static constexpr Stored store(Value value) { return narrow_to_bfloat16(value).bits; }
};

template <DataType type>
struct ElementOf;
template <>
struct ElementOf<DataType::uint8> : IntegerElement<std::uint8_t> {};
template <>
struct ElementOf<DataType::int8> : IntegerElement<std::int8_t> {};
template <>
struct ElementOf<DataType::int16> : IntegerElement<std::int16_t> {};
template <>
struct ElementOf<DataType::uint16> : IntegerElement<std::uint16_t> {};
template <>
struct ElementOf<DataType::uint32> : IntegerElement<std::uint32_t> {};
template <>
struct ElementOf<DataType::int32> : IntegerElement<std::int32_t> {};
template <>
struct ElementOf<DataType::uint64> : IntegerElement<std::uint64_t> {};
template <>
struct ElementOf<DataType::int64> : IntegerElement<std::int64_t> {};
template <>
struct ElementOf<DataType::float16> : FloatElement<Float16Format, std::int16_t, 0x7c00, 0x7e00> {};
template <>
struct ElementOf<DataType::bfloat16> : FloatElement<BFloat16Format, std::int16_t, 0x7f80, 0x7fc0> {
};
template <>
struct ElementOf<DataType::float32>
    : FloatElement<PlainFormat<float>, std::int32_t, 0x7f80'0000, 0x7fc0'0000> {};
template <>
struct ElementOf<DataType::float64> : FloatElement<PlainFormat<double>, std::int64_t,
                                                   0x7ff0'0000'0000'0000, 0x7ff8'0000'0000'0000> {};

// Calls f.template operator()<type>() with the type as a constant.
template <typename F>
constexpr decltype(auto) with_type(DataType type, F&& f) {
  switch (type) {
    case DataType::uint8:
      return f.template operator()<DataType::uint8>();
    case DataType::int8:
      return f.template operator()<DataType::int8>();
    case DataType::int16:
      return f.template operator()<DataType::int16>();
    case DataType::uint16:
      return f.template operator()<DataType::uint16>();
    case DataType::uint32:
      return f.template operator()<DataType::uint32>();
    case DataType::int32:
      return f.template operator()<DataType::int32>();
    case DataType::uint64:
      return f.template operator()<DataType::uint64>();
    case DataType::int64:
      return f.template operator()<DataType::int64>();
    case DataType::float16:
      return f.template operator()<DataType::float16>();
    case DataType::bfloat16:
      return f.template operator()<DataType::bfloat16>();
    case DataType::float32:
      return f.template operator()<DataType::float32>();
    case DataType::float64:
      break;
  }
  return f.template operator()<DataType::float64>();
}

// The same of the floating-point types, which can be quantized.
template <typename F>
constexpr decltype(auto) with_float_type(DataType type, F&& f) {
  switch (type) {
    case DataType::float16:
      return f.template operator()<DataType::float16>();
    case DataType::bfloat16:
      return f.template operator()<DataType::bfloat16>();
    case DataType::float32:
      return f.template operator()<DataType::float32>();
    default:
      break;
  }
  return f.template operator()<DataType::float64>();
}

// f.template operator()<code>(), which gives nothing.
template <typename F>
constexpr void with_code(Code code, F&& f) {
  [&]<std::size_t... codes>(std::index_sequence<codes...>) {
    (..., (code == static_cast<Code>(codes) ? f.template operator()<static_cast<Code>(codes)>()
                                            : void()));
  }(std::make_index_sequence<code_count>{});
}

template <typename F>
constexpr decltype(auto) with_op(RedOp op, F&& f) {
  switch (op) {
    case RedOp::sum:
    case RedOp::avg:  // whoever completes it divides
      return f.template operator()<RedOp::sum>();
    case RedOp::prod:
      return f.template operator()<RedOp::prod>();
    case RedOp::max:
      return f.template operator()<RedOp::max>();
    case RedOp::min:
      break;
  }
  return f.template operator()<RedOp::min>();
}

}  // namespace pccl::kernels::cuda
