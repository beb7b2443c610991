#pragma once

#include <cstddef>

namespace bench {

// Of a result that need not be exact, from the exact one.
struct Deviation {
  double relative_l2 = 0;  // |result - exact| / |exact|, over all elements
  double largest = 0;      // |result - exact| of the worst element
  double bound = 0;        // what that can be at most; infinite where nothing is promised
  std::size_t beyond = 0;  // elements that are worse, or NaN
};

}  // namespace bench
