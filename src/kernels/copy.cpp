#include "kernels/copy.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

namespace pccl::kernels {

#if defined(__x86_64__)

void copy_past_caches(void* to, const void* from, std::size_t bytes) {
  constexpr std::size_t line = 64;
  auto* out = static_cast<std::byte*>(to);
  const auto* in = static_cast<const std::byte*>(from);
  const std::size_t before = -reinterpret_cast<std::uintptr_t>(out) % line;
  const std::size_t head = std::min(bytes, before);
  std::memcpy(out, in, head);
  out += head, in += head, bytes -= head;
  for (; bytes >= line; out += line, in += line, bytes -= line) {
    const auto* const lanes = reinterpret_cast<const __m128i*>(in);
    auto* const streamed = reinterpret_cast<__m128i*>(out);
    const __m128i a = _mm_loadu_si128(lanes), b = _mm_loadu_si128(lanes + 1),
                  c = _mm_loadu_si128(lanes + 2), d = _mm_loadu_si128(lanes + 3);
    _mm_stream_si128(streamed, a);
    _mm_stream_si128(streamed + 1, b);
    _mm_stream_si128(streamed + 2, c);
    _mm_stream_si128(streamed + 3, d);
  }
  _mm_sfence();  // streamed stores are not ordered before what tells another thread of them
  std::memcpy(out, in, bytes);
}

#else

void copy_past_caches(void* to, const void* from, std::size_t bytes) {
  std::memcpy(to, from, bytes);
}

#endif

}  // namespace pccl::kernels
