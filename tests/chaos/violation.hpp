#pragma once

#include <stdexcept>

namespace chaos {

// A broken promise: of the library, or of this test about itself.
struct Violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace chaos
