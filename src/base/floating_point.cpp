#include "base/floating_point.hpp"

namespace pccl {

// The default environment has flush-to-zero and denormals-are-zero off on x86 and ARM alike.
StandardFloatingPoint::StandardFloatingPoint() {
  std::fegetenv(&before_);
  std::fesetenv(FE_DFL_ENV);
}

StandardFloatingPoint::~StandardFloatingPoint() {
  std::fesetenv(&before_);
}

}  // namespace pccl
