// A broken promise: the run stops here, and the seed replays it.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace pccl::sim {

struct Violation : std::runtime_error {
  Violation(std::string which, const std::string& text)
      : std::runtime_error(which + ": " + text), invariant(std::move(which)) {}
  std::string invariant;
};

template <typename... Args>
void require(bool holds, const char* invariant, fmt::format_string<Args...> format,
             Args&&... args) {
  if (!holds) throw Violation(invariant, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace pccl::sim
