// Element arithmetic of a reduction. Results do not depend on the instruction set: the same inputs
// give the same bits on every machine.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.hpp"

namespace pccl::kernels {

// out[i] = op(a[i], b[i]) for `count` elements of `type`. `out` may be `a` or `b`; no other
// overlap, any alignment. avg adds; finalize() divides. Integers wrap. float16 and bfloat16 are
// computed in float32 and rounded to nearest even. max and min give NaN when either input is NaN.
//
// Every floating-point NaN that comes out is the one canonical NaN of its type (positive, quiet, no
// payload), and -0 is below +0; so every op is commutative to the bit. The calling thread is in the
// standard floating-point environment (base/floating_point.hpp).
void reduce(RedOp op, DataType type, void* out, const void* a, const void* b, std::size_t count);

// Turns the reduction over `world_size` inputs into the result, in place: avg divides (integers
// truncate towards zero), the others change nothing.
void finalize(RedOp op, DataType type, void* data, std::size_t count, std::uint32_t world_size);

}  // namespace pccl::kernels
