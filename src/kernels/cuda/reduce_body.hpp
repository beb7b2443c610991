// What one thread of `threads` does of a reduction on a GPU. Memory is aligned to its elements.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/elements.hpp"

namespace pccl::kernels::cuda {

inline constexpr std::size_t vector_bytes = 16;  // of a load or a store, where all is aligned to it

template <typename Stored>
struct alignas(vector_bytes) Vector {
  static constexpr std::size_t count = vector_bytes / sizeof(Stored);
  Stored lanes[count];
};

inline bool are_vectors(const void* out, const void* a, const void* b) {
  const auto is_aligned = [](const void* at) {
    return reinterpret_cast<std::uintptr_t>(at) % vector_bytes == 0;
  };
  return is_aligned(out) && is_aligned(a) && is_aligned(b);
}

template <DataType type, RedOp op, bool vectors>
PCCL_ANYWHERE inline void reduce_part(void* out_data, const void* a_data, const void* b_data,
                                      std::size_t count, std::size_t thread, std::size_t threads) {
  using Element = ElementOf<type>;
  using Stored = typename Element::Stored;
  auto* const out = static_cast<Stored*>(out_data);
  const auto* const a = static_cast<const Stored*>(a_data);
  const auto* const b = static_cast<const Stored*>(b_data);
  std::size_t next = thread;
  if constexpr (vectors) {
    using V = Vector<Stored>;
    const std::size_t whole = count / V::count;
    for (std::size_t i = thread; i < whole; i += threads) {
      V x = reinterpret_cast<const V*>(a)[i];
      const V y = reinterpret_cast<const V*>(b)[i];
      for (std::size_t lane = 0; lane < V::count; ++lane)
        x.lanes[lane] = Element::template combine<op>(x.lanes[lane], y.lanes[lane]);
      reinterpret_cast<V*>(out)[i] = x;
    }
    next += whole * V::count;
  } else {
    constexpr std::size_t at_once = 4;  // all read before one is written
    for (; next + (at_once - 1) * threads < count; next += at_once * threads) {
      Stored x[at_once], y[at_once];
      for (std::size_t k = 0; k < at_once; ++k) {
        x[k] = a[next + k * threads];
        y[k] = b[next + k * threads];
      }
      for (std::size_t k = 0; k < at_once; ++k)
        out[next + k * threads] = Element::template combine<op>(x[k], y[k]);
    }
  }
  for (; next < count; next += threads) out[next] = Element::template combine<op>(a[next], b[next]);
}

template <DataType type>
PCCL_ANYWHERE inline void average_part(void* data, std::size_t count, std::uint32_t world_size,
                                       std::size_t thread, std::size_t threads) {
  using Element = ElementOf<type>;
  auto* const elements = static_cast<typename Element::Stored*>(data);
  for (std::size_t i = thread; i < count; i += threads)
    elements[i] = Element::average(elements[i], world_size);
}

}  // namespace pccl::kernels::cuda
