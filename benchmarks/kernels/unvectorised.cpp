// The generic loops once more, compiled without auto-vectorization (CMakeLists.txt): what the
// vectors of a kernel set are measured against.
#include "kernels/unvectorised.hpp"

#include "kernels/generic/prelude.hpp"

namespace pccl::kernels {
namespace unvectorised {
namespace {

#include "kernels/generic/scalar_lanes.inl"

using Lookup = NoLookup;

#include "kernels/generic/kernel_set.inl"

}  // namespace
}  // namespace unvectorised

constinit const KernelSet unvectorised_kernels = unvectorised::make_kernel_set("unvectorised");

}  // namespace pccl::kernels
