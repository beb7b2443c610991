// Inputs for quantized all-reduces, and how far a result is from the exact reduction of them.
//
// The inputs are normally distributed (mean 0, deviation 1; of pcclProd 1 and 1/8): what gradients
// look like to a block, and unlike small integers nothing that lies on a grid by itself. Each rank
// repeats 65,521 numbers of its own, a prime, so that no two blocks are alike.
#pragma once

#include <cstddef>
#include <vector>

#include "common/deviation.hpp"
#include "pccl.h"

namespace bench {

class QuantizedCase {
 public:
  QuantizedCase(pcclDataType_t type, pcclRedOp_t op, pcclQuantizationOptions_t quantization,
                int world);

  void fill(void* buffer, std::size_t count, int rank) const;
  Deviation deviation(const void* result, std::size_t count) const;

 private:
  double bound() const;

  pcclDataType_t type_;
  pcclRedOp_t op_;
  pcclQuantizationOptions_t quantization_;
  int world_;
  std::vector<std::vector<double>> inputs_;  // by rank; as the element type holds them
  std::vector<double> exact_;
  double top_ = 0;  // the largest magnitude among the inputs
};

}  // namespace bench
