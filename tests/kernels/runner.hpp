// Where the kernels of a GPU run in the tests: on a GPU, or on the CPU, thread after thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/digest.hpp"
#include "quantize_cases.hpp"

namespace pccl::kernels {

// How far behind an aligned place the elements and the codes of a step lie.
struct Shift {
  std::size_t elements = 0, code_bytes = 0;
};

// One step of a quantized all-reduce (kernels/cuda/quantize_body.hpp). `in` may be null.
struct StepCase {
  Quantization quantization;
  RedOp op = RedOp::sum;
  std::uint32_t world_size = 1;
  const reference::QuantizedBytes* in = nullptr;
  const reference::Bytes* values = nullptr;
  std::vector<float>* residual = nullptr;  // null: no error feedback
  Shift shift;
};

// Inputs lie `shift` elements behind a place that is aligned to 16 bytes.
struct HostRunner {
  static std::string why_not() { return {}; }  // it does not run
  static reference::Bytes reduce(RedOp op, DataType type, const reference::Bytes& a,
                                 const reference::Bytes& b, std::size_t shift);
  static reference::Bytes average(DataType type, const reference::Bytes& sums,
                                  std::uint32_t world_size);
  static reference::QuantizedBytes quantize(const StepCase& step);  // in place, if there is an `in`
  static reference::Bytes dequantize(const Quantization& quantization,
                                     const reference::QuantizedBytes& in, std::size_t count,
                                     Shift shift);
  static std::vector<Digest> digests(const std::vector<reference::Bytes>& inputs);
};

struct DeviceRunner {
  static std::string why_not();
  static reference::Bytes reduce(RedOp op, DataType type, const reference::Bytes& a,
                                 const reference::Bytes& b, std::size_t shift);
  static reference::Bytes average(DataType type, const reference::Bytes& sums,
                                  std::uint32_t world_size);
  static reference::QuantizedBytes quantize(const StepCase& step);
  static reference::Bytes dequantize(const Quantization& quantization,
                                     const reference::QuantizedBytes& in, std::size_t count,
                                     Shift shift);
  static std::vector<Digest> digests(const std::vector<reference::Bytes>& inputs);
};

}  // namespace pccl::kernels
