// float16 and bfloat16 to and from float32, in bulk. Needs reduce.inl before it.

template <typename L>
void widen_loop(void* to_floats, const void* from_halves, std::size_t count) {
  auto* const __restrict to = static_cast<std::byte*>(to_floats);
  const auto* const __restrict from = static_cast<const std::byte*>(from_halves);
  constexpr std::size_t float_bytes = L::count * sizeof(float);
  const std::size_t whole = count / L::count;
  for (std::size_t i = 0; i < whole; ++i) {
    const typename L::Value value = L::settled(L::load(from + i * L::bytes));
    std::memcpy(to + i * float_bytes, &value, float_bytes);
  }
  if constexpr (L::count > 1) {
    const std::size_t rest = count % L::count;
    if (rest == 0) return;
    std::byte last[L::bytes] = {};
    std::memcpy(last, from + whole * L::bytes, rest * (L::bytes / L::count));
    const typename L::Value value = L::settled(L::load(last));
    std::memcpy(to + whole * float_bytes, &value, rest * sizeof(float));
  }
}

template <typename L>
void narrow_loop(void* to_halves, const void* from_floats, std::size_t count) {
  auto* const __restrict to = static_cast<std::byte*>(to_halves);
  const auto* const __restrict from = static_cast<const std::byte*>(from_floats);
  constexpr std::size_t float_bytes = L::count * sizeof(float);
  const std::size_t whole = count / L::count;
  for (std::size_t i = 0; i < whole; ++i) {
    typename L::Value value;
    std::memcpy(&value, from + i * float_bytes, float_bytes);
    L::store(value, to + i * L::bytes);
  }
  if constexpr (L::count > 1) {
    const std::size_t rest = count % L::count;
    if (rest == 0) return;
    typename L::Value value = {};
    std::memcpy(&value, from + whole * float_bytes, rest * sizeof(float));
    std::byte narrowed[L::bytes];
    L::store(value, narrowed);
    std::memcpy(to + whole * L::bytes, narrowed, rest * (L::bytes / L::count));
  }
}

constexpr ConversionKernels conversion_kernels() {
  return {.widen = {widen_loop<Lanes<Float16>>, widen_loop<Lanes<BFloat16>>},
          .narrow = {narrow_loop<Lanes<Float16>>, narrow_loop<Lanes<BFloat16>>}};
}
