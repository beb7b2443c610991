// NEON, which every AArch64 CPU has. The compiler vectorises the generic loops for its 128 bits as
// it does those of the reference; float16 is converted by hand, with instructions that are part of
// the baseline as well (the conversions only: its arithmetic on float16 is not, and is not wanted).
#include "kernels/generic/prelude.hpp"

#if defined(__aarch64__)
#include <arm_neon.h>

namespace pccl::kernels {
namespace neon {
namespace {

struct Float16Lanes {
  using Value = float32x4_t;
  static constexpr std::size_t count = 4, bytes = count * sizeof(Float16);

  static Value load(const std::byte* from) {
    uint16x4_t halves;  // by way of memcpy: any alignment
    std::memcpy(&halves, from, bytes);
    return vcvt_f32_f16(vreinterpret_f16_u16(halves));
  }
  static Value settled(Value value) {
    const float32x4_t nan = vreinterpretq_f32_u32(vdupq_n_u32(float32_nan));
    return vbslq_f32(vceqq_f32(value, value), value, nan);
  }
  // Rounds as FPCR says: to nearest, even, and with IEEE's halves (base/floating_point.hpp).
  static void store(Value value, std::byte* to) {
    const uint16x4_t halves = vreinterpret_u16_f16(vcvt_f16_f32(settled(value)));
    std::memcpy(to, &halves, bytes);
  }
};

using Lookup = NoLookup;

#include "kernels/generic/kernel_set.inl"

}  // namespace
}  // namespace neon

constinit const KernelSet neon_kernels = neon::make_kernel_set("neon");

}  // namespace pccl::kernels
#endif
