// The reduction loops, written once (kernel_set.inl includes them for each instruction set), over
// lanes that the other loops use as well. `Float16Lanes` is how float16 travels there. What is done
// with the elements themselves is arithmetic.inl, before it.
//
// A loop moves lanes: it loads two values, combines them and stores the result. A value is one
// element, or as many as a vector register of the set holds.
//
// What the hardware leaves open is settled here, so that a digest does not depend on whose CPU
// computed it:
//
// - NaN: a floating-point result that is NaN is the one canonical NaN of its type (positive, quiet,
//   no payload). Left alone, the payload would tell which operand the compiler put first, the sign
//   of inf - inf would tell x86 from ARM, and a GPU would answer with yet another pattern. It costs
//   a compare and a select per vector, in loops that wait for the cache.
// - Zero: max(-0, +0) is +0 and min(-0, +0) is -0, in either order, as in IEEE 754-2019.
// - Integers are computed modulo 2^bits, in an unsigned type that no promotion can overflow.
//
// No lambdas here: not every compiler gives them the target region. Nothing of this page may be
// shared between sets, hence the unnamed namespace around it.

template <typename T>
struct Lanes {
  using Value = T;
  static constexpr std::size_t count = 1, bytes = sizeof(T);

  static Value load(const std::byte* from) {  // any alignment
    T value;
    std::memcpy(&value, from, sizeof(T));
    return value;
  }
  static void store(Value value, std::byte* to) {
    if constexpr (std::is_floating_point_v<T>)
      value = value == value ? value : std::numeric_limits<T>::quiet_NaN();
    std::memcpy(to, &value, sizeof(T));
  }
};

// In every set the same: the bfloat16 instructions of AVX-512 flush denormals.
template <>
struct Lanes<BFloat16> {
  using Value = float;
  static constexpr std::size_t count = 1, bytes = sizeof(BFloat16);

  static Value load(const std::byte* from) {
    return widen(BFloat16{Lanes<std::uint16_t>::load(from)});
  }
  static Value settled(Value value) {  // the canonical NaN for any
    return value == value ? value : std::numeric_limits<float>::quiet_NaN();
  }
  static void store(Value value, std::byte* to) {
    Lanes<std::uint16_t>::store(narrow_to_bfloat16(value).bits, to);
  }
};

template <>
struct Lanes<Float16> : Float16Lanes {};

template <typename L, typename Op>
[[gnu::always_inline]] inline void reduce_bytes(std::byte* out, const std::byte* a,
                                                const std::byte* b, std::size_t count) {
  const std::size_t whole = count / L::count;
  for (std::size_t i = 0; i < whole; ++i)
    L::store(Op::combine(L::load(a + i * L::bytes), L::load(b + i * L::bytes)), out + i * L::bytes);
  if constexpr (L::count > 1) {
    const std::size_t done = whole * L::bytes, rest = (count % L::count) * (L::bytes / L::count);
    if (rest == 0) return;
    std::byte last_a[L::bytes] = {}, last_b[L::bytes] = {};  // zeros, whose results nobody reads
    std::memcpy(last_a, a + done, rest);
    std::memcpy(last_b, b + done, rest);
    L::store(Op::combine(L::load(last_a), L::load(last_b)), last_a);
    std::memcpy(out + done, last_a, rest);
  }
}

template <typename L, typename Op>
void reduce_loop(void* out_data, const void* a_data, const void* b_data, std::size_t count) {
  auto* const out = static_cast<std::byte*>(out_data);
  const auto* const a = static_cast<const std::byte*>(a_data);
  const auto* const b = static_cast<const std::byte*>(b_data);
  // The same loop three times, because the vectorised one is entered only where the compiler sees,
  // or checks, that buffers are apart: unless told, it takes the same buffer for an overlap.
  if (out == a)
    reduce_bytes<L, Op>(out, out, b, count);
  else if (out == b)
    reduce_bytes<L, Op>(out, a, out, count);
  else
    reduce_bytes<L, Op>(out, a, b, count);
}

template <typename L>
void average_floats(void* data_bytes, std::size_t count, std::uint32_t world_size) {
  auto* const data = static_cast<std::byte*>(data_bytes);
  // float16 and bfloat16 are averaged in float32, like everything else.
  using Divisor = std::conditional_t<std::is_same_v<L, Lanes<double>>, double, float>;
  const auto divisor = static_cast<Divisor>(world_size);
  const std::size_t whole = count / L::count;
  for (std::size_t i = 0; i < whole; ++i)
    L::store(L::load(data + i * L::bytes) / divisor, data + i * L::bytes);
  if constexpr (L::count > 1) {
    const std::size_t done = whole * L::bytes, rest = (count % L::count) * (L::bytes / L::count);
    if (rest == 0) return;
    std::byte last[L::bytes] = {};
    std::memcpy(last, data + done, rest);
    L::store(L::load(last) / divisor, last);
    std::memcpy(data + done, last, rest);
  }
}

template <typename T>
void average_integers(void* data_bytes, std::size_t count, std::uint32_t world_size) {
  auto* const data = static_cast<std::byte*>(data_bytes);
  for (std::size_t i = 0; i < count; ++i) {
    const T value = Lanes<T>::load(data + i * sizeof(T));
    Lanes<T>::store(averaged_integer(value, world_size), data + i * sizeof(T));
  }
}

template <typename T>
constexpr TypeKernels integer_kernels() {
  using L = Lanes<T>;
  return {.reduce = {reduce_loop<L, IntegerArithmetic<RedOp::sum>>,
                     reduce_loop<L, IntegerArithmetic<RedOp::sum>>,  // avg: finalize divides
                     reduce_loop<L, IntegerArithmetic<RedOp::prod>>,
                     reduce_loop<L, IntegerArithmetic<RedOp::max>>,
                     reduce_loop<L, IntegerArithmetic<RedOp::min>>},
          .average = average_integers<T>};
}

template <typename T, typename Bits, Bits infinity, Bits nan>
constexpr TypeKernels float_kernels() {
  using L = Lanes<T>;
  return {.reduce = {reduce_loop<L, Arithmetic<RedOp::sum>>,
                     reduce_loop<L, Arithmetic<RedOp::sum>>,  // avg: finalize divides
                     reduce_loop<L, Arithmetic<RedOp::prod>>,
                     reduce_loop<Lanes<Bits>, Extreme<RedOp::max, Bits, infinity, nan>>,
                     reduce_loop<Lanes<Bits>, Extreme<RedOp::min, Bits, infinity, nan>>},
          .average = average_floats<L>};
}

constexpr std::array<TypeKernels, data_type_count> type_kernels() {
  return {integer_kernels<std::uint8_t>(),
          integer_kernels<std::int8_t>(),
          integer_kernels<std::int16_t>(),
          integer_kernels<std::uint16_t>(),
          integer_kernels<std::uint32_t>(),
          integer_kernels<std::int32_t>(),
          integer_kernels<std::uint64_t>(),
          integer_kernels<std::int64_t>(),
          float_kernels<Float16, std::int16_t, 0x7c00, 0x7e00>(),
          float_kernels<BFloat16, std::int16_t, 0x7f80, 0x7fc0>(),
          float_kernels<float, std::int32_t, 0x7f80'0000, 0x7fc0'0000>(),
          float_kernels<double, std::int64_t, 0x7ff0'0000'0000'0000, 0x7ff8'0000'0000'0000>()};
}
