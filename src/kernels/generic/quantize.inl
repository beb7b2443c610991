// Scanning, encoding and decoding, element by element. Needs reduce.inl before it. Blocks, their
// ranges and those that have none are the caller's concern (quantize.cpp).
//
// A level is rounded and converted in one addition: the last place of the *anchor* is 1, so what is
// added to it comes out as a whole number in its low bits. That needs no conversion instruction,
// vectorises in every set, and has a result for every operand.
//
// Of 4 bits and less there are only so many codes: where a register holds what they stand for in
// float32, they are looked up there. `Lookup::decode_group<bits>(to, codes, levels)` does it for a
// whole group, with 16 levels (four times the same four for codes of 2 bits). The levels are what
// decode() says, so the bits are the same.

// The extremes of numbers by their bits alone: as signed integers the positive ones are in order,
// as unsigned ones the negative ones are, from -0 on outwards; NaN lies beyond infinity on its
// side.
template <typename Bits>
struct Scan {
  using Unsigned = std::make_unsigned_t<Bits>;
  Bits smallest = std::numeric_limits<Bits>::max(), largest = std::numeric_limits<Bits>::min();
  Unsigned furthest = 0;

  [[gnu::always_inline]] void see(Bits bits) {
    const auto magnitude = static_cast<Unsigned>(bits);
    smallest = bits < smallest ? bits : smallest;
    largest = bits > largest ? bits : largest;
    furthest = magnitude > furthest ? magnitude : furthest;
  }
  Extremes extremes() const {
    const bool any_positive = largest >= 0, any_negative = smallest < 0;
    return {.lowest = reordered(any_negative ? static_cast<Bits>(furthest) : smallest),
            .highest = reordered(any_positive ? largest : smallest)};
  }
};

template <typename Bits>
Extremes scan_loop(const void* values, std::size_t count) {
  const auto* const from = static_cast<const std::byte*>(values);
  Scan<Bits> scan;
  for (std::size_t i = 0; i < count; ++i) scan.see(Lanes<Bits>::load(from + i * sizeof(Bits)));
  return scan.extremes();
}

template <typename Number>
struct Anchor;
template <>
struct Anchor<float> {
  using Bits = std::uint32_t;
  static constexpr float value = 0x1p23f;
};
template <>
struct Anchor<double> {
  using Bits = std::uint64_t;
  static constexpr double value = 0x1p52;
};

// Values that are no NaN: nothing to settle.
template <typename T>
void put(T value, std::byte* to) {
  std::memcpy(to, &value, sizeof(T));
}

// What all coders share. `Number` is what a block is computed in, `Element` what it is made of.
template <typename Number, typename Element>
struct Levelled {
  Number offset, step, inverse_step, lowest, highest;

  explicit Levelled(const Grid& grid)
      : offset(static_cast<Number>(grid.offset)),
        step(static_cast<Number>(grid.step)),
        inverse_step(static_cast<Number>(grid.inverse_step)),
        lowest(static_cast<Number>(grid.lowest)),
        highest(static_cast<Number>(grid.highest)) {}

  Element limited(Number value) const {
    value = value > lowest ? value : lowest;
    return static_cast<Element>(value < highest ? value : highest);
  }
};

template <typename Number, typename Real, Code code, typename Unsigned, bool is_signed>
struct IntegerCoder : Levelled<Number, Real> {
  using Element = Real;
  using Stored = Unsigned;
  using Bits = typename Anchor<Number>::Bits;
  static constexpr std::size_t bits = bits_of(code);
  static constexpr Number anchor = Anchor<Number>::value;
  static constexpr auto lowest_bits = std::bit_cast<std::make_signed_t<Bits>>(anchor);
  static constexpr auto highest_bits =
      std::bit_cast<std::make_signed_t<Bits>>(anchor + static_cast<Number>(steps_of(code)));
  static constexpr auto flip =
      static_cast<Unsigned>(is_signed ? Unsigned{1} << (8 * sizeof(Unsigned) - 1) : 0);
  static constexpr auto mask = static_cast<Bits>(steps_of(code));

  Number origin;  // from the anchor

  explicit IntegerCoder(const Grid& grid)
      : Levelled<Number, Real>(grid), origin(anchor + static_cast<Number>(grid.origin)) {}

  Unsigned encode(Element value) const {
    // Limited as integers, which order these numbers alike: GCC makes a tangle of masks of limiting
    // floats to constants. NaN ends at the end of its sign.
    const Number level = (static_cast<Number>(value) - this->offset) * this->inverse_step + origin;
    auto bits_of_level = std::bit_cast<std::make_signed_t<Bits>>(level);
    bits_of_level = bits_of_level > lowest_bits ? bits_of_level : lowest_bits;
    bits_of_level = bits_of_level < highest_bits ? bits_of_level : highest_bits;
    const auto whole = static_cast<Bits>(bits_of_level - lowest_bits);
    return static_cast<Unsigned>(static_cast<Unsigned>(whole) ^ flip);
  }
  Element decode(Unsigned stored) const {
    const Bits whole = static_cast<Bits>(static_cast<Unsigned>(stored ^ flip)) & mask;
    const auto level = std::bit_cast<Number>(whole | std::bit_cast<Bits>(anchor));
    return this->limited((level - origin) * this->step + this->offset);
  }
};

template <typename Real, typename Format>
struct FloatCoder : Levelled<Real, Real> {
  using Element = Real;
  using Stored = std::uint8_t;
  static constexpr std::size_t bits = Format::width;

  using Levelled<Real, Real>::Levelled;

  Stored encode(Element value) const {
    return Format::encode(static_cast<float>(value * this->inverse_step));
  }
  Element decode(Stored stored) const {
    return this->limited(static_cast<Real>(Format::decode(stored)) * this->step);
  }
};

template <typename Coder>
[[gnu::always_inline]] inline void encode_group(std::byte* __restrict codes,
                                                const std::byte* __restrict values,
                                                std::size_t count, const Coder& coder) {
  using Real = typename Coder::Element;
  constexpr std::size_t per_byte = 8 / Coder::bits;
  std::uint8_t narrow[code_group_elements] = {};
  for (std::size_t i = 0; i < count; ++i)
    narrow[i] = coder.encode(Lanes<Real>::load(values + i * sizeof(Real)));
  const std::size_t bytes = (count + per_byte - 1) / per_byte;
  for (std::size_t j = 0; j < bytes; ++j) {
    unsigned byte = 0;
    for (std::size_t k = 0; k < per_byte; ++k)
      byte |= static_cast<unsigned>(narrow[j + k * bytes]) << (k * Coder::bits);
    codes[j] = static_cast<std::byte>(byte);
  }
}

// The codes of a group, one a byte.
template <typename Coder>
[[gnu::always_inline]] inline void unpack_group(std::uint8_t* __restrict narrow,
                                                const std::byte* __restrict codes,
                                                std::size_t count) {
  constexpr std::size_t per_byte = 8 / Coder::bits;
  constexpr unsigned mask = (1u << Coder::bits) - 1;
  const std::size_t bytes = (count + per_byte - 1) / per_byte;
  for (std::size_t k = 0; k < per_byte; ++k)
    for (std::size_t j = 0; j < bytes; ++j)
      narrow[j + k * bytes] =
          static_cast<std::uint8_t>(static_cast<unsigned>(codes[j]) >> (k * Coder::bits) & mask);
}

template <typename Coder>
void encode_loop(void* codes, const void* values, std::size_t count, const Grid& grid) {
  using Real = typename Coder::Element;
  using Stored = typename Coder::Stored;
  const Coder coder(grid);
  auto* const __restrict to = static_cast<std::byte*>(codes);
  const auto* const __restrict from = static_cast<const std::byte*>(values);
  if constexpr (Coder::bits >= 8) {
    for (std::size_t i = 0; i < count; ++i)
      put(coder.encode(Lanes<Real>::load(from + i * sizeof(Real))), to + i * sizeof(Stored));
  } else {
    constexpr std::size_t group = code_group_elements, group_bytes = group * Coder::bits / 8;
    const std::size_t whole = count / group, rest = count % group;
    for (std::size_t i = 0; i < whole; ++i)
      encode_group(to + i * group_bytes, from + i * group * sizeof(Real), group, coder);
    if (rest != 0)
      encode_group(to + whole * group_bytes, from + whole * group * sizeof(Real), rest, coder);
  }
}

// What is done with each decoded element: stored, or added to another one, the sums scanned.
template <typename Real>
struct Store {
  std::byte* __restrict to;

  [[gnu::always_inline]] void take(Real value, std::size_t i) { put(value, to + i * sizeof(Real)); }
};

template <typename Real>
struct StoreSum {
  using Bits = std::conditional_t<sizeof(Real) == 8, std::int64_t, std::int32_t>;
  std::byte* __restrict to;
  const std::byte* __restrict others;
  Scan<Bits> scan = {};

  [[gnu::always_inline]] void take(Real value, std::size_t i) {
    const Real sum = value + Lanes<Real>::load(others + i * sizeof(Real));
    put(sum, to + i * sizeof(Real));
    scan.see(std::bit_cast<Bits>(sum));
  }
};

template <typename Coder>
constexpr bool is_looked_up =
    Lookup::fast && Coder::bits < 8 && std::is_same_v<typename Coder::Element, float>;

struct LevelTable {
  alignas(64) float levels[16];

  template <typename Coder>
  explicit LevelTable(const Coder& coder) {
    for (unsigned code = 0; code < 16; ++code)
      levels[code] =
          coder.decode(static_cast<typename Coder::Stored>(code & ((1u << Coder::bits) - 1)));
  }
};

template <typename Coder, typename Taker>
[[gnu::always_inline]] inline void decode_each(const void* codes, std::size_t count,
                                               const Grid& grid, Taker& taker) {
  using Stored = typename Coder::Stored;
  const Coder coder(grid);
  const auto* const __restrict from = static_cast<const std::byte*>(codes);
  if constexpr (Coder::bits >= 8) {
    for (std::size_t i = 0; i < count; ++i)
      taker.take(coder.decode(Lanes<Stored>::load(from + i * sizeof(Stored))), i);
  } else {
    constexpr std::size_t group = code_group_elements;
    std::uint8_t narrow[group];
    const std::size_t whole = count - count % group;
    if constexpr (is_looked_up<Coder>) {
      const LevelTable table(coder);
      alignas(64) float numbers[group];
      for (std::size_t first = 0; first < whole; first += group) {
        Lookup::decode_group<Coder::bits>(numbers, from + first * Coder::bits / 8, table.levels);
        for (std::size_t i = 0; i < group; ++i) taker.take(numbers[i], first + i);
      }
    } else {
      for (std::size_t first = 0; first < whole; first += group) {
        unpack_group<Coder>(narrow, from + first * Coder::bits / 8, group);
        for (std::size_t i = 0; i < group; ++i) taker.take(coder.decode(narrow[i]), first + i);
      }
    }
    unpack_group<Coder>(narrow, from + whole * Coder::bits / 8, count - whole);
    for (std::size_t i = 0; i < count - whole; ++i) taker.take(coder.decode(narrow[i]), whole + i);
  }
}

template <typename Coder>
void decode_loop(void* values, const void* codes, std::size_t count, const Grid& grid) {
  Store<typename Coder::Element> store{static_cast<std::byte*>(values)};
  decode_each<Coder>(codes, count, grid, store);
}

template <typename Coder>
Extremes decode_add_loop(void* sums, const void* codes, const void* values, std::size_t count,
                         const Grid& grid) {
  StoreSum<typename Coder::Element> store{static_cast<std::byte*>(sums),
                                          static_cast<const std::byte*>(values)};
  decode_each<Coder>(codes, count, grid, store);
  return store.scan.extremes();
}

template <typename Coder>
constexpr CodeKernels kernels_of() {
  return {.encode = encode_loop<Coder>,
          .decode = decode_loop<Coder>,
          .decode_add = decode_add_loop<Coder>};
}

template <typename Number, typename Real, Code code, typename Unsigned, bool is_signed = false>
constexpr CodeKernels integer_code() {
  return kernels_of<IntegerCoder<Number, Real, code, Unsigned, is_signed>>();
}

// float32 counts the levels of 16 bits with room for rounding, not those of 32.
template <typename Real>
constexpr std::array<CodeKernels, code_count> code_kernels() {
  return {integer_code<Real, Real, Code::uint8, std::uint8_t>(),
          integer_code<Real, Real, Code::int8, std::uint8_t, true>(),
          integer_code<Real, Real, Code::int16, std::uint16_t, true>(),
          integer_code<Real, Real, Code::uint16, std::uint16_t>(),
          integer_code<double, Real, Code::uint32, std::uint32_t>(),
          integer_code<double, Real, Code::int32, std::uint32_t, true>(),
          integer_code<double, Real, Code::uint64, std::uint64_t>(),
          integer_code<double, Real, Code::int64, std::uint64_t, true>(),
          integer_code<Real, Real, Code::uint4, std::uint8_t>(),
          integer_code<Real, Real, Code::uint2, std::uint8_t>(),
          kernels_of<FloatCoder<Real, Float8E4M3>>(),
          kernels_of<FloatCoder<Real, Float8E5M2>>(),
          kernels_of<FloatCoder<Real, Float4E3M0>>()};
}

constexpr QuantizationKernels quantization_kernels() {
  return {.scan = {scan_loop<std::int16_t>, scan_loop<std::int16_t>, scan_loop<std::int32_t>,
                   scan_loop<std::int64_t>},
          .float32 = code_kernels<float>(),
          .float64 = code_kernels<double>()};
}
