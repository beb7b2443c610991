// The kernels of each instruction set behind one table, and the choice among them: the widest set
// that this CPU runs, or the one that PCCL_KERNELS names. The choice is about speed only; every set
// gives the same bits.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/dtype.hpp"
#include "kernels/codes.hpp"
#include "kernels/grid.hpp"

namespace pccl::kernels {

using ReduceLoop = void (*)(void* out, const void* a, const void* b, std::size_t count);
using AverageLoop = void (*)(void* data, std::size_t count, std::uint32_t world_size);

struct TypeKernels {
  std::array<ReduceLoop, red_op_count> reduce;  // by RedOp
  AverageLoop average;
};

using ConversionLoop = void (*)(void* to, const void* from, std::size_t count);

struct ConversionKernels {  // to and from float32, by DataType from float16 on
  std::array<ConversionLoop, 2> widen, narrow;
};

using ScanLoop = Extremes (*)(const void* values, std::size_t count);
using EncodeLoop = void (*)(void* codes, const void* values, std::size_t count, const Grid& grid);
using DecodeLoop = void (*)(void* values, const void* codes, std::size_t count, const Grid& grid);
using DecodeAddLoop = Extremes (*)(void* sums, const void* codes, const void* values,
                                   std::size_t count, const Grid& grid);

struct CodeKernels {
  EncodeLoop encode;
  DecodeLoop decode;
  DecodeAddLoop decode_add;
};

struct QuantizationKernels {
  std::array<ScanLoop, 4> scan;                          // by DataType from float16 on
  std::array<CodeKernels, code_count> float32, float64;  // by Code
};

struct KernelSet {
  std::string_view name;
  std::array<TypeKernels, data_type_count> types;  // by DataType
  ConversionKernels conversions;
  QuantizationKernels quantization;

  void reduce(RedOp op, DataType type, void* out, const void* a, const void* b,
              std::size_t count) const {
    types[static_cast<std::size_t>(type)].reduce[static_cast<std::size_t>(op)](out, a, b, count);
  }
  void average(DataType type, void* data, std::size_t count, std::uint32_t world_size) const {
    types[static_cast<std::size_t>(type)].average(data, count, world_size);
  }

  // float16 and bfloat16 to and from float32.
  void widen(DataType from_type, void* to, const void* from, std::size_t count) const {
    conversions.widen[float_index(from_type)](to, from, count);
  }
  void narrow(DataType to_type, void* to, const void* from, std::size_t count) const {
    conversions.narrow[float_index(to_type)](to, from, count);
  }

  // Of elements of a floating-point type, at least one.
  Extremes scan(DataType type, const void* values, std::size_t count) const {
    return quantization.scan[float_index(type)](values, count);
  }
  // `type` is float32 or float64; codes and values do not overlap.
  void encode(DataType type, Code code, void* codes, const void* values, std::size_t count,
              const Grid& grid) const {
    codes_of(type, code).encode(codes, values, count, grid);
  }
  void decode(DataType type, Code code, void* values, const void* codes, std::size_t count,
              const Grid& grid) const {
    codes_of(type, code).decode(values, codes, count, grid);
  }
  // decode, add `values` and scan in one; nothing overlaps. A sum that is NaN is any NaN.
  Extremes decode_add(DataType type, Code code, void* sums, const void* codes, const void* values,
                      std::size_t count, const Grid& grid) const {
    return codes_of(type, code).decode_add(sums, codes, values, count, grid);
  }

 private:
  static std::size_t float_index(DataType type) {
    return static_cast<std::size_t>(type) - static_cast<std::size_t>(DataType::float16);
  }
  const CodeKernels& codes_of(DataType type, Code code) const {
    const auto& by_code = type == DataType::float64 ? quantization.float64 : quantization.float32;
    return by_code[static_cast<std::size_t>(code)];
  }
};

extern const KernelSet
    scalar_kernels;  // the reference: no instruction beyond what the whole build requires
#if defined(__x86_64__)
extern const KernelSet avx2_kernels;    // AVX2 and F16C
extern const KernelSet avx512_kernels;  // AVX-512 F, BW, DQ and VL
#elif defined(__aarch64__)
extern const KernelSet neon_kernels;  // NEON, on every such CPU
#endif

// The sets that this CPU can run, the reference first, the widest last.
std::span<const KernelSet* const> available_kernel_sets();

// The set of that name; the widest for an empty name, and for one that is not available, with a
// warning.
const KernelSet& kernel_set_named(std::string_view name);

// The set that this process uses, chosen on first use.
const KernelSet& chosen_kernel_set();

}  // namespace pccl::kernels
