#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace bench {

// The value below which `fraction` of the samples lie (nearest rank); 0 of no samples.
inline double quantile(std::vector<double> samples, double fraction) {
  if (samples.empty()) return 0;
  std::sort(samples.begin(), samples.end());
  const auto last = samples.size() - 1;
  return samples[static_cast<std::size_t>(fraction * static_cast<double>(last) + 0.5)];
}

inline double median(const std::vector<double>& samples) {
  return quantile(samples, 0.5);
}

}  // namespace bench
