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

}  // namespace pccl::sim

// PCCL_REQUIRE(holds, "Name of the invariant", "format", args...): the text is only made when it is
// needed.
#define PCCL_REQUIRE(holds, invariant, ...) \
  ((holds) ? static_cast<void>(0)           \
           : throw ::pccl::sim::Violation((invariant), ::fmt::format(__VA_ARGS__)))
