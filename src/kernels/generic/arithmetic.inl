// What a reduction does with two elements, and an average with one, for the loops of every
// instruction set and for the kernels of a GPU: all of it constexpr, so that it is for both. Why
// results do not depend on the hardware is told in reduce.inl.

template <RedOp op>
struct Arithmetic {
  template <typename Value>
  static constexpr Value combine(Value a, Value b) {
    if constexpr (op == RedOp::sum) return a + b;
    if constexpr (op == RedOp::prod) return a * b;
  }
};

template <RedOp op>
struct IntegerArithmetic {
  template <typename T>
  static constexpr T combine(T a, T b) {
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
constexpr Bits reordered(Bits value) {
  constexpr Bits magnitude = std::numeric_limits<Bits>::max();
  return static_cast<Bits>(value ^ ((value >> std::numeric_limits<Bits>::digits) & magnitude));
}

// max and min of floating-point numbers, in the order of their bits. All in integers: no rounding,
// no flushed denormals, and -0 below +0. `nan` is the canonical one, `infinity` the positive.
template <RedOp op, typename Bits, Bits infinity, Bits nan>
struct Extreme {
  static constexpr Bits magnitude = std::numeric_limits<Bits>::max();  // all but the sign

  static constexpr Bits combine(Bits a, Bits b) {
    const Bits order_a = reordered(a), order_b = reordered(b);
    const bool take_a = op == RedOp::max ? order_a > order_b : order_a < order_b;
    const Bits extreme = reordered(take_a ? order_a : order_b);
    // The magnitude of a NaN is above that of infinity; one of two is NaN if the larger one is.
    const Bits magnitude_a = a & magnitude, magnitude_b = b & magnitude;
    return (magnitude_a > magnitude_b ? magnitude_a : magnitude_b) > infinity ? nan : extreme;
  }
};

// Truncated towards zero.
template <typename T>
constexpr T averaged_integer(T value, std::uint32_t world_size) {
  if constexpr (sizeof(T) <= 2) {
    // Vectorises, as integer division does not. The quotient is exact, or off the next integer by
    // more than the rounding, or (world sizes above 2^24) below 1.
    const float quotient = static_cast<float>(value) / static_cast<float>(world_size);
    return static_cast<T>(static_cast<std::int32_t>(quotient));
  } else {
    // The magnitude is divided and the sign put back: right for every world size and every value.
    using Wide = std::make_unsigned_t<T>;
    const Wide sign = std::is_signed_v<T> && value < T{0} ? ~Wide{0} : Wide{0};
    const Wide quotient = ((static_cast<Wide>(value) ^ sign) - sign) / world_size;
    return static_cast<T>((quotient ^ sign) - sign);
  }
}
