// The reference: no target region, so it runs wherever the library does. The compiler vectorises it
// for the baseline of the build (SSE2, NEON).
#include "kernels/generic/prelude.hpp"

namespace pccl::kernels {
namespace scalar {
namespace {

#include "kernels/generic/scalar_lanes.inl"

using Lookup = NoLookup;

#include "kernels/generic/kernel_set.inl"

}  // namespace
}  // namespace scalar

constinit const KernelSet scalar_kernels = scalar::make_kernel_set("scalar");

}  // namespace pccl::kernels
