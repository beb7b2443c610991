// The bytes of a fuzz input, taken from the front as numbers; zeros when they are used up.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>

namespace pccl::fuzz {

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : rest_(data, size) {}

  bool empty() const { return rest_.empty(); }
  std::span<const std::uint8_t> rest() const { return rest_; }

  template <std::unsigned_integral Number>
  Number take() {
    Number number = 0;
    for (std::size_t byte = 0; byte < sizeof(Number) && !rest_.empty(); ++byte) {
      number = static_cast<Number>(number | static_cast<Number>(rest_.front()) << (8 * byte));
      rest_ = rest_.subspan(1);
    }
    return number;
  }
  // One byte, in [0, bound).
  std::size_t below(std::size_t bound) { return take<std::uint8_t>() % bound; }
  template <typename Choice, std::size_t size>
  const Choice& pick(const Choice (&choices)[size]) {
    return choices[below(size)];
  }

 private:
  std::span<const std::uint8_t> rest_;
};

inline void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

}  // namespace pccl::fuzz
