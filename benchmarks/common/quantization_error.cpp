#include "common/quantization_error.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "common/element_types.hpp"

namespace bench {

namespace {

constexpr std::size_t period = 65'521;

double combined(pcclRedOp_t op, double a, double b) {
  if (op == pcclProd) return a * b;
  if (op == pcclMax) return std::max(a, b);
  if (op == pcclMin) return std::min(a, b);
  return a + b;
}

// The largest error of encoding an element once, by the largest magnitude in its block
// (src/kernels/quantize.hpp). Of integer codes half a step and a little, where the block is at most
// twice as wide as its largest magnitude.
double error_of_encoding(pcclDataType_t type, const pcclQuantizationOptions_t& quantization) {
  const double rounding = type == pcclDouble ? 0x1p-50 : 0x1p-22;
  const auto integer = [&](int bits) { return 0.51 * 2 / (std::exp2(bits) - 1) + rounding; };
  if (quantization.algorithm == pcclQuantScale && quantization.quantized_datatype == pcclFloat4E3M0)
    return 1.001 / 3;
  switch (static_cast<int>(quantization.quantized_datatype)) {
    case pcclUint2:
      return integer(2);
    case pcclUint4:
      return integer(4);
    case pcclUint8:
    case pcclInt8:
      return integer(8);
    case pcclUint16:
    case pcclInt16:
      return integer(16);
    case pcclUint32:
    case pcclInt32:
      return integer(32);
    case pcclFloat8E4M3:
      return 1.001 * 0x1p-4;
    case pcclFloat8E5M2:
      return 1.001 * 0x1p-3;
    default:
      return integer(52);
  }
}

// Of an element that leaves as a 16-bit float.
double error_of_narrowing(pcclDataType_t type) {
  if (type == pcclFloat16) return 0x1p-10;
  if (type == pcclBFloat16) return 0x1p-7;
  return 0;
}

}  // namespace

QuantizedCase::QuantizedCase(pcclDataType_t type, pcclRedOp_t op,
                             pcclQuantizationOptions_t quantization, int world)
    : type_(type), op_(op), quantization_(quantization), world_(world) {
  for (int rank = 0; rank < world; ++rank) {
    std::mt19937_64 random{static_cast<std::uint64_t>(rank) + 1};
    std::normal_distribution<double> normal{op == pcclProd ? 1.0 : 0.0,
                                            op == pcclProd ? 0.125 : 1.0};
    std::vector<double>& numbers = inputs_.emplace_back(period);
    with_type(type, [&]<typename T>(T*) {
      for (double& number : numbers) {
        const double drawn = normal(random);
        number = static_cast<double>(static_cast<T>(std::abs(drawn) < 0x1p-10 ? 0 : drawn));
      }
    });
    for (const double number : numbers) top_ = std::max(top_, std::abs(number));
  }
  exact_ = inputs_[0];
  for (int rank = 1; rank < world; ++rank)
    for (std::size_t i = 0; i < period; ++i)
      exact_[i] = combined(op, exact_[i], inputs_[static_cast<std::size_t>(rank)][i]);
  if (op == pcclAvg)
    for (double& number : exact_) number /= world;
}

void QuantizedCase::fill(void* buffer, std::size_t count, int rank) const {
  const std::vector<double>& numbers = inputs_[static_cast<std::size_t>(rank)];
  with_type(type_, [&]<typename T>(T*) {
    T* const elements = static_cast<T*>(buffer);
    for (std::size_t i = 0; i < count; ++i) elements[i] = static_cast<T>(numbers[i % period]);
  });
}

// Every rank encodes every element once, the k-th of them what k ranks have contributed, with the
// error that has come to it.
double QuantizedCase::bound() const {
  if (op_ == pcclProd) return std::numeric_limits<double>::infinity();
  const bool adds = op_ == pcclSum || op_ == pcclAvg;
  const double each = error_of_encoding(type_, quantization_);
  double error = 0, magnitude = 0;
  for (int k = 1; k <= world_; ++k) {
    magnitude = adds ? magnitude + top_ : top_;
    if (op_ == pcclAvg && k == world_) magnitude /= world_, error /= world_;
    error += each * (magnitude + error);
  }
  return error + error_of_narrowing(type_) * (magnitude + error);
}

Deviation QuantizedCase::deviation(const void* result, std::size_t count) const {
  Deviation found{.bound = bound()};
  double errors = 0, sizes = 0;
  with_type(type_, [&]<typename T>(T*) {
    const T* const elements = static_cast<const T*>(result);
    for (std::size_t i = 0; i < count; ++i) {
      const double exact = exact_[i % period];
      const double error = std::abs(static_cast<double>(elements[i]) - exact);
      errors += error * error, sizes += exact * exact;
      found.largest = std::max(found.largest, error);
      found.beyond += !(error <= found.bound);  // NaN is
    }
  });
  found.relative_l2 = sizes > 0 ? std::sqrt(errors / sizes) : 0;
  return found;
}

}  // namespace bench
