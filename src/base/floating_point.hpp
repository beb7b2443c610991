// Arithmetic that every peer repeats bit for bit, whatever the application has set for its threads.
#pragma once

#include <cfenv>

namespace pccl {

// For the calling thread and for its lifetime: rounds to nearest, keeps denormals, masks all
// exceptions; afterwards everything is as the application had it.
class StandardFloatingPoint {
 public:
  StandardFloatingPoint();
  ~StandardFloatingPoint();
  StandardFloatingPoint(const StandardFloatingPoint&) = delete;
  StandardFloatingPoint& operator=(const StandardFloatingPoint&) = delete;

 private:
  std::fenv_t before_;
};

}  // namespace pccl
