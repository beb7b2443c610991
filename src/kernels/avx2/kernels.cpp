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

struct Lookup {
  static constexpr bool fast = true;

  // A register holds half of the levels: the index of an element there is the low three bits of its
  // lane, and the fourth, shifted to the sign, chooses the half.
  template <std::size_t bits>
  static void decode_group(float* to, const std::byte* codes, const float* levels) {
    constexpr std::size_t bytes = code_group_elements * bits / 8, lanes = 8;
    const __m256 low = _mm256_loadu_ps(levels), high = _mm256_loadu_ps(levels + lanes);
    for (std::size_t j = 0; j < bytes; j += lanes) {
      __m256i index =
          _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(codes + j)));
      for (std::size_t k = 0; k < 8 / bits; ++k) {
        __m256 number = _mm256_permutevar8x32_ps(low, index);
        if constexpr (bits > 3)
          number = _mm256_blendv_ps(number, _mm256_permutevar8x32_ps(high, index),
                                    _mm256_castsi256_ps(_mm256_slli_epi32(index, 28)));
        _mm256_storeu_ps(to + k * bytes + j, number);
        index = _mm256_srli_epi32(index, bits);
      }
    }
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
