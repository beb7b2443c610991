// The loops that scan, encode and decode. Needs reduce.inl and coders.inl before it. Blocks, their
// ranges and those that have none are the caller's concern (quantize.cpp).
//
// Of 4 bits and less there are only so many codes: where a register holds what they stand for in
// float32, they are looked up there. `Lookup::decode_group<bits>(to, codes, levels)` does it for a
// whole group, with 16 levels (four times the same four for codes of 2 bits). The levels are what
// decode() says, so the bits are the same.

template <typename Bits>
Extremes scan_loop(const void* values, std::size_t count) {
  const auto* const from = static_cast<const std::byte*>(values);
  Scan<Bits> scan;
  for (std::size_t i = 0; i < count; ++i) scan.see(Lanes<Bits>::load(from + i * sizeof(Bits)));
  return scan.extremes();
}

// Values that are no NaN: nothing to settle.
template <typename T>
void put(T value, std::byte* to) {
  std::memcpy(to, &value, sizeof(T));
}

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

template <typename Real, std::size_t... codes>
constexpr std::array<CodeKernels, code_count> code_kernels(std::index_sequence<codes...>) {
  return {kernels_of<CoderOf<Real, static_cast<Code>(codes)>>()...};
}

constexpr QuantizationKernels quantization_kernels() {
  return {.scan = {scan_loop<std::int16_t>, scan_loop<std::int16_t>, scan_loop<std::int32_t>,
                   scan_loop<std::int64_t>},
          .float32 = code_kernels<float>(std::make_index_sequence<code_count>{}),
          .float64 = code_kernels<double>(std::make_index_sequence<code_count>{})};
}
