#include "base/floating_point.hpp"

#include <cfenv>

namespace pccl {

// The default environment has flush-to-zero and denormals-are-zero off on x86 and ARM alike.
void use_standard_floating_point() {
  std::fesetenv(FE_DFL_ENV);
}

}  // namespace pccl
