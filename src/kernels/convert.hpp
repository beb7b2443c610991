// float16 and bfloat16 to and from float32, in bulk (half.hpp has them one by one).
#pragma once

#include <cstddef>

#include "base/dtype.hpp"

namespace pccl::kernels {

// to[i] = from[i] for `count` elements; `half_type` is float16 or bfloat16. Any alignment, no
// overlap. Widening is exact; narrowing rounds to nearest even, what is too large becomes infinity.
// Every NaN becomes the canonical one of its new type.
void widen(DataType half_type, float* to, const void* from, std::size_t count);
void narrow(DataType half_type, void* to, const float* from, std::size_t count);

}  // namespace pccl::kernels
