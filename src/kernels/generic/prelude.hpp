// What generic/*.inl need, for a kernels.cpp to include before it opens its target region:
// functions of these headers may be merged with those of other files, and must run on every CPU.
#pragma once

#include <array>
#include <bit>
#include <cfloat>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/dtype.hpp"
#include "kernels/dispatch.hpp"
#include "kernels/half.hpp"
#include "kernels/mini_float.hpp"

namespace pccl::kernels {

// For sets without registers that find a float32 by a 4-bit index.
struct NoLookup {
  static constexpr bool fast = false;
  template <std::size_t bits>
  static void decode_group(float*, const std::byte*, const float*) {}
};

}  // namespace pccl::kernels

static_assert(FLT_EVAL_METHOD == 0, "float32 arithmetic must round to float32 at every step");
static_assert(std::numeric_limits<float>::is_iec559 && std::numeric_limits<double>::is_iec559);
