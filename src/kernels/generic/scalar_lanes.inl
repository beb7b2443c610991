// The lanes of a kernel set without vectors of its own.

struct Float16Lanes {
  using Value = float;
  static constexpr std::size_t count = 1, bytes = sizeof(Float16);

  static Value load(const std::byte* from) {
    Float16 half;
    std::memcpy(&half, from, sizeof half);
    return widen(half);
  }
  static Value settled(Value value) {
    return value == value ? value : std::numeric_limits<float>::quiet_NaN();
  }
  static void store(Value value, std::byte* to) {
    const Float16 half = narrow_to_float16(value);
    std::memcpy(to, &half, sizeof half);
  }
};
