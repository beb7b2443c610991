// AVX-512 F, BW, DQ and VL (every server since Skylake-SP and Zen 4). Its bfloat16 instructions
// stay unused: they flush denormals.
#include "kernels/generic/prelude.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))), \
                                 apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl")
#endif

namespace pccl::kernels {
namespace avx512 {
namespace {

struct Float16Lanes {
  using Value = __m512;
  static constexpr std::size_t count = 16, bytes = count * sizeof(Float16);
  static constexpr __mmask16 all = 0xffff;  // GCC 12 warns about the intrinsics without a mask

  static Value load(const std::byte* from) {
    return _mm512_maskz_cvtph_ps(all, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  }
  static Value settled(Value value) {
    const __m512 nan = _mm512_castsi512_ps(_mm512_set1_epi32(float32_nan));
    return _mm512_mask_mov_ps(value, _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q), nan);
  }
  static void store(Value value, std::byte* to) {
    _mm256_storeu_si256(
        reinterpret_cast<__m256i*>(to),
        _mm512_maskz_cvtps_ph(all, settled(value), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
};

struct Lookup {
  static constexpr bool fast = true;

  // The index of an element is the low four bits of its lane: codes above it do not matter.
  template <std::size_t bits>
  static void decode_group(float* to, const std::byte* codes, const float* levels) {
    constexpr std::size_t bytes = code_group_elements * bits / 8, lanes = 16;
    constexpr __mmask16 all = 0xffff;
    const __m512 table = _mm512_maskz_loadu_ps(all, levels);
    for (std::size_t j = 0; j < bytes; j += lanes) {
      __m512i index = _mm512_maskz_cvtepu8_epi32(
          all, _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes + j)));
      for (std::size_t k = 0; k < 8 / bits; ++k) {
        _mm512_mask_storeu_ps(to + k * bytes + j, all,
                              _mm512_maskz_permutexvar_ps(all, index, table));
        index = _mm512_maskz_srli_epi32(all, index, bits);
      }
    }
  }
};

#include "kernels/generic/kernel_set.inl"

}  // namespace
}  // namespace avx512

constinit const KernelSet avx512_kernels = avx512::make_kernel_set("avx512");

}  // namespace pccl::kernels

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
