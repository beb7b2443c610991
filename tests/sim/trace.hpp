// What happened, as a hash (two runs of a seed must agree) and, on demand, as text.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <cstdio>
#include <string_view>

#include "sim/timeline.hpp"

namespace pccl::sim {

class Trace {
 public:
  Trace(const Timeline& timeline, bool print)
      : timeline_(timeline), start_(timeline.now()), print_(print) {}

  // `what` and the numbers go into the hash, the words of `text` only to the screen.
  template <typename... Numbers>
  void mix(std::string_view what, Numbers... numbers) {
    for (const char letter : what) add(static_cast<std::uint64_t>(letter));
    (add(static_cast<std::uint64_t>(numbers)), ...);
    add(static_cast<std::uint64_t>(timeline_.now().time_since_epoch().count()));
  }
  template <typename... Args>
  void print(fmt::format_string<Args...> format, Args&&... args) {
    if (!print_) return;
    fmt::print("{:10.6f}  {}\n", seconds(timeline_.now() - start_),
               fmt::format(format, std::forward<Args>(args)...));
    std::fflush(stdout);
  }
  bool printing() const { return print_; }
  std::uint64_t hash() const { return hash_; }

 private:
  void add(std::uint64_t number) { hash_ = (hash_ ^ number) * 0x100000001b3ULL; }

  const Timeline& timeline_;
  Instant start_;
  bool print_;
  std::uint64_t hash_ = 0xcbf29ce484222325ULL;
};

}  // namespace pccl::sim
