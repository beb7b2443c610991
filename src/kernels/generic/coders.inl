// Elements to codes and back, and the scan for the range of a block, one element at a time: all
// constexpr, for the loops of every instruction set and for the kernels of a GPU. Needs
// arithmetic.inl before it.
//
// A level is rounded and converted in one addition: the last place of the *anchor* is 1, so what is
// added to it comes out as a whole number in its low bits. That needs no conversion instruction,
// vectorises in every set, and has a result for every operand.

// The extremes of numbers by their bits alone: as signed integers the positive ones are in order,
// as unsigned ones the negative ones are, from -0 on outwards; NaN lies beyond infinity on its
// side.
template <typename Bits>
struct Scan {
  using Unsigned = std::make_unsigned_t<Bits>;
  Bits smallest = std::numeric_limits<Bits>::max(), largest = std::numeric_limits<Bits>::min();
  Unsigned furthest = 0;

  [[gnu::always_inline]] constexpr void see(Bits bits) {
    const auto magnitude = static_cast<Unsigned>(bits);
    smallest = bits < smallest ? bits : smallest;
    largest = bits > largest ? bits : largest;
    furthest = magnitude > furthest ? magnitude : furthest;
  }
  constexpr void unite(const Scan& other) {
    smallest = other.smallest < smallest ? other.smallest : smallest;
    largest = other.largest > largest ? other.largest : largest;
    furthest = other.furthest > furthest ? other.furthest : furthest;
  }
  constexpr Extremes extremes() const {
    const bool any_positive = largest >= 0, any_negative = smallest < 0;
    return {.lowest = reordered(any_negative ? static_cast<Bits>(furthest) : smallest),
            .highest = reordered(any_positive ? largest : smallest)};
  }
};

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

// What all coders share. `Number` is what a block is computed in, `Element` what it is made of.
template <typename Number, typename Element>
struct Levelled {
  Number offset, step, inverse_step, lowest, highest;

  constexpr explicit Levelled(const Grid& grid)
      : offset(static_cast<Number>(grid.offset)),
        step(static_cast<Number>(grid.step)),
        inverse_step(static_cast<Number>(grid.inverse_step)),
        lowest(static_cast<Number>(grid.lowest)),
        highest(static_cast<Number>(grid.highest)) {}

  constexpr Element limited(Number value) const {
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

  constexpr explicit IntegerCoder(const Grid& grid)
      : Levelled<Number, Real>(grid), origin(anchor + static_cast<Number>(grid.origin)) {}

  constexpr Unsigned encode(Element value) const {
    // Limited as integers, which order these numbers alike: GCC makes a tangle of masks of limiting
    // floats to constants. NaN ends at the end of its sign.
    const Number level = (static_cast<Number>(value) - this->offset) * this->inverse_step + origin;
    auto bits_of_level = std::bit_cast<std::make_signed_t<Bits>>(level);
    bits_of_level = bits_of_level > lowest_bits ? bits_of_level : lowest_bits;
    bits_of_level = bits_of_level < highest_bits ? bits_of_level : highest_bits;
    const auto whole = static_cast<Bits>(bits_of_level - lowest_bits);
    return static_cast<Unsigned>(static_cast<Unsigned>(whole) ^ flip);
  }
  constexpr Element decode(Unsigned stored) const {
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

  constexpr Stored encode(Element value) const {
    return Format::encode(static_cast<float>(value * this->inverse_step));
  }
  constexpr Element decode(Stored stored) const {
    return this->limited(static_cast<Real>(Format::decode(stored)) * this->step);
  }
};

template <Code code>
using StoredAs = std::conditional_t<
    bits_of(code) <= 8, std::uint8_t,
    std::conditional_t<bits_of(code) == 16, std::uint16_t,
                       std::conditional_t<bits_of(code) == 32, std::uint32_t, std::uint64_t>>>;

template <Code code>
constexpr bool is_signed = code == Code::int8 || code == Code::int16 || code == Code::int32 ||
                           code == Code::int64;

// The coder of elements that are `Real` (float or double). float32 counts the levels of 16 bits
// with room for rounding, not those of 32.
template <typename Real, Code code>
struct ChosenCoder {
  using Number = std::conditional_t<(bits_of(code) > 16), double, Real>;
  using Type = IntegerCoder<Number, Real, code, StoredAs<code>, is_signed<code>>;
};
template <typename Real>
struct ChosenCoder<Real, Code::float8_e4m3> {
  using Type = FloatCoder<Real, Float8E4M3>;
};
template <typename Real>
struct ChosenCoder<Real, Code::float8_e5m2> {
  using Type = FloatCoder<Real, Float8E5M2>;
};
template <typename Real>
struct ChosenCoder<Real, Code::float4_e3m0> {
  using Type = FloatCoder<Real, Float4E3M0>;
};
template <typename Real, Code code>
using CoderOf = typename ChosenCoder<Real, code>::Type;
