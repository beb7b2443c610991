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

namespace pccl::kernels {

using ReduceLoop = void (*)(void* out, const void* a, const void* b, std::size_t count);
using AverageLoop = void (*)(void* data, std::size_t count, std::uint32_t world_size);

struct TypeKernels {
  std::array<ReduceLoop, red_op_count> reduce;  // by RedOp
  AverageLoop average;
};

struct KernelSet {
  std::string_view name;
  std::array<TypeKernels, data_type_count> types;  // by DataType

  void reduce(RedOp op, DataType type, void* out, const void* a, const void* b,
              std::size_t count) const {
    types[static_cast<std::size_t>(type)].reduce[static_cast<std::size_t>(op)](out, a, b, count);
  }
  void average(DataType type, void* data, std::size_t count, std::uint32_t world_size) const {
    types[static_cast<std::size_t>(type)].average(data, count, world_size);
  }
};

extern const KernelSet
    scalar_kernels;  // the reference: no instruction beyond what the whole build requires
#if defined(__x86_64__)
extern const KernelSet avx2_kernels;    // AVX2 and F16C
extern const KernelSet avx512_kernels;  // AVX-512 F, BW, DQ and VL
#endif

// The sets that this CPU can run, the reference first, the widest last.
std::span<const KernelSet* const> available_kernel_sets();

// The set of that name; the widest for an empty name, and for one that is not available, with a
// warning.
const KernelSet& kernel_set_named(std::string_view name);

// The set that this process uses, chosen on first use.
const KernelSet& chosen_kernel_set();

}  // namespace pccl::kernels
