// The generic loops once more, compiled without auto-vectorization (CMakeLists.txt): what the
// vectors of a kernel set are measured against.
#include "kernels/unvectorised.hpp"

#include "kernels/generic/prelude.hpp"

namespace pccl::kernels {
namespace unvectorised {
namespace {

struct Float16Lanes {
  using Value = float;
  static constexpr std::size_t count = 1, bytes = sizeof(Float16);

  static Value load(const std::byte* from) {
    Float16 half;
    std::memcpy(&half, from, sizeof half);
    return widen(half);
  }
  static Value settled(Value value) {
    return value == value ? value : std::numeric_limits<float>::quiet_NaN();
  }
  static void store(Value value, std::byte* to) {
    const Float16 half = narrow_to_float16(value);
    std::memcpy(to, &half, sizeof half);
  }
};

using Lookup = NoLookup;

#include "kernels/generic/kernel_set.inl"

}  // namespace
}  // namespace unvectorised

constinit const KernelSet unvectorised_kernels = unvectorised::make_kernel_set("unvectorised");

}  // namespace pccl::kernels
