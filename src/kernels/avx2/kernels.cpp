// AVX2 and F16C. The compiler vectorises the generic loops for 256 bits; float16 is converted by
// hand.
#include "kernels/generic/prelude.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,f16c")
#endif

namespace pccl::kernels {
namespace avx2 {
namespace {

struct Float16Lanes {
  using Value = __m256;
  static constexpr std::size_t count = 8, bytes = count * sizeof(Float16);

  static Value load(const std::byte* from) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }
  static Value settled(Value value) {
    const __m256 nan = _mm256_castsi256_ps(_mm256_set1_epi32(float32_nan));
    return _mm256_blendv_ps(value, nan, _mm256_cmp_ps(value, value, _CMP_UNORD_Q));
  }
  static void store(Value value, std::byte* to) {
    _mm_storeu_si128(
        reinterpret_cast<__m128i*>(to),
        _mm256_cvtps_ph(settled(value), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
};

#include "kernels/generic/kernel_set.inl"

}  // namespace
}  // namespace avx2

constinit const KernelSet avx2_kernels = avx2::make_kernel_set("avx2");

}  // namespace pccl::kernels

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
