// The reduction loops, written once (kernel_set.inl includes them for each instruction set), over
// lanes that the other loops use as well. `Float16Lanes` is how float16 travels there.
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

template <RedOp op>
struct Arithmetic {
  template <typename Value>
  static Value combine(Value a, Value b) {
    if constexpr (op == RedOp::sum) return a + b;
    if constexpr (op == RedOp::prod) return a * b;
  }
};

template <RedOp op>
struct IntegerArithmetic {
  template <typename T>
  static T combine(T a, T b) {
    // At least 32 bits: uint16 would be promoted to a signed int, which a product can overflow.
    using Wide = std::common_type_t<std::make_unsigned_t<T>, std::uint32_t>;
    if constexpr (op == RedOp::sum)
      return static_cast<T>(static_cast<Wide>(a) + static_cast<Wide>(b));
    if constexpr (op == RedOp::prod)
      return static_cast<T>(static_cast<Wide>(a) * static_cast<Wide>(b));
    if constexpr (op == RedOp::max) return a > b ? a : b;
    if constexpr (op == RedOp::min) return a < b ? a : b;
  }
};

// The bits of floating-point numbers are ordered as sign and magnitude; this is the same order in
// two's complement, and back.
template <typename Bits>
Bits reordered(Bits value) {
  constexpr Bits magnitude = std::numeric_limits<Bits>::max();
  return static_cast<Bits>(value ^ ((value >> std::numeric_limits<Bits>::digits) & magnitude));
}

// max and min of floating-point numbers, in the order of their bits. All in integers: no rounding,
// no flushed denormals, and -0 below +0. `nan` is the canonical one, `infinity` the positive.
template <RedOp op, typename Bits, Bits infinity, Bits nan>
struct Extreme {
  static constexpr Bits magnitude = std::numeric_limits<Bits>::max();  // all but the sign

  static Bits combine(Bits a, Bits b) {
    const Bits order_a = reordered(a), order_b = reordered(b);
    const bool take_a = op == RedOp::max ? order_a > order_b : order_a < order_b;
    const Bits extreme = reordered(take_a ? order_a : order_b);
    // The magnitude of a NaN is above that of infinity; one of two is NaN if the larger one is.
    const Bits magnitude_a = a & magnitude, magnitude_b = b & magnitude;
    return (magnitude_a > magnitude_b ? magnitude_a : magnitude_b) > infinity ? nan : extreme;
  }
};

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

// Truncates towards zero.
template <typename T>
void average_integers(void* data_bytes, std::size_t count, std::uint32_t world_size) {
  auto* const data = static_cast<std::byte*>(data_bytes);
  for (std::size_t i = 0; i < count; ++i) {
    const T value = Lanes<T>::load(data + i * sizeof(T));
    if constexpr (sizeof(T) <= 2) {
      // Vectorises, as integer division does not. The quotient is exact, or off the next integer by
      // more than the rounding, or (world sizes above 2^24) below 1.
      const float quotient = static_cast<float>(value) / static_cast<float>(world_size);
      Lanes<T>::store(static_cast<T>(static_cast<std::int32_t>(quotient)), data + i * sizeof(T));
    } else {
      // The magnitude is divided and the sign put back: right for every world size and every value.
      using Wide = std::make_unsigned_t<T>;
      const Wide sign = value < T{0} ? ~Wide{0} : Wide{0};
      const Wide quotient = ((static_cast<Wide>(value) ^ sign) - sign) / world_size;
      Lanes<T>::store(static_cast<T>((quotient ^ sign) - sign), data + i * sizeof(T));
    }
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
