// Scanning, encoding and decoding, element by element. Needs reduce.inl before it. Blocks, their
// ranges and those that have none are the caller's concern (quantize.cpp).
//
// A level is rounded and converted in one addition: the last place of the *anchor* is 1, so what is
// added to it comes out as a whole number in its low bits. That needs no conversion instruction,
// vectorises in every set, and has a result for every operand.

template <typename Bits>
Extremes scan_loop(const void* values, std::size_t count) {
  const auto* const from = static_cast<const std::byte*>(values);
  Bits lowest = std::numeric_limits<Bits>::max(), highest = std::numeric_limits<Bits>::min();
  for (std::size_t i = 0; i < count; ++i) {
    const Bits order = reordered(Lanes<Bits>::load(from + i * sizeof(Bits)));
    lowest = order < lowest ? order : lowest;
    highest = order > highest ? order : highest;
  }
  return {lowest, highest};
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
  static constexpr Number top = anchor + static_cast<Number>(steps_of(code));
  static constexpr auto flip =
      static_cast<Unsigned>(is_signed ? Unsigned{1} << (8 * sizeof(Unsigned) - 1) : 0);
  static constexpr auto mask = static_cast<Bits>(steps_of(code));

  Number origin;  // from the anchor

  explicit IntegerCoder(const Grid& grid)
      : Levelled<Number, Real>(grid), origin(anchor + static_cast<Number>(grid.origin)) {}

  Unsigned encode(Element value) const {
    Number level = (static_cast<Number>(value) - this->offset) * this->inverse_step + origin;
    level = level > anchor ? level : anchor;
    level = level < top ? level : top;
    const Bits whole = std::bit_cast<Bits>(level) - std::bit_cast<Bits>(anchor);
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

template <typename Coder>
[[gnu::always_inline]] inline void decode_group(std::byte* __restrict values,
                                                const std::byte* __restrict codes,
                                                std::size_t count, const Coder& coder) {
  using Real = typename Coder::Element;
  constexpr std::size_t per_byte = 8 / Coder::bits;
  constexpr unsigned mask = (1u << Coder::bits) - 1;
  std::uint8_t narrow[code_group_elements];
  const std::size_t bytes = (count + per_byte - 1) / per_byte;
  for (std::size_t k = 0; k < per_byte; ++k)
    for (std::size_t j = 0; j < bytes; ++j)
      narrow[j + k * bytes] =
          static_cast<std::uint8_t>(static_cast<unsigned>(codes[j]) >> (k * Coder::bits) & mask);
  for (std::size_t i = 0; i < count; ++i) put(coder.decode(narrow[i]), values + i * sizeof(Real));
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

template <typename Coder>
void decode_loop(void* values, const void* codes, std::size_t count, const Grid& grid) {
  using Real = typename Coder::Element;
  using Stored = typename Coder::Stored;
  const Coder coder(grid);
  auto* const __restrict to = static_cast<std::byte*>(values);
  const auto* const __restrict from = static_cast<const std::byte*>(codes);
  if constexpr (Coder::bits >= 8) {
    for (std::size_t i = 0; i < count; ++i)
      put(coder.decode(Lanes<Stored>::load(from + i * sizeof(Stored))), to + i * sizeof(Real));
  } else {
    constexpr std::size_t group = code_group_elements, group_bytes = group * Coder::bits / 8;
    const std::size_t whole = count / group, rest = count % group;
    for (std::size_t i = 0; i < whole; ++i)
      decode_group(to + i * group * sizeof(Real), from + i * group_bytes, group, coder);
    if (rest != 0)
      decode_group(to + whole * group * sizeof(Real), from + whole * group_bytes, rest, coder);
  }
}

template <typename Coder>
constexpr CodeKernels kernels_of() {
  return {.encode = encode_loop<Coder>, .decode = decode_loop<Coder>};
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
