// What the tests of quantization run over, and numbers in and out of buffers.
#pragma once

#include <string>
#include <vector>

#include "kernels/quantize.hpp"
#include "reference.hpp"

namespace pccl::kernels::reference {

inline std::vector<Code> all_codes() {
  std::vector<Code> codes;
  for (std::uint8_t code = 0; code < code_count; ++code) codes.push_back(static_cast<Code>(code));
  return codes;
}

inline std::vector<DataType> float_types() {
  return {DataType::float16, DataType::bfloat16, DataType::float32, DataType::float64};
}

// Every code with the levels that it knows, for every element type.
inline std::vector<Quantization> all_quantizations(std::size_t block_elements) {
  std::vector<Quantization> all;
  for (const DataType type : float_types())
    for (const Code code : all_codes())
      for (const Levels levels : {Levels::min_max, Levels::zero_point_scale})
        if (levels == Levels::min_max || is_integer(code))
          all.push_back({type, code, levels, block_elements});
  return all;
}

inline std::string told(const Quantization& q) {
  return std::string(name_of(q.type)) + " to " + std::string(name_of(q.code)) +
         (q.levels == Levels::zero_point_scale ? ", zero point" : "") + ", blocks of " +
         std::to_string(q.block_elements);
}

struct QuantizedBytes {
  Bytes codes, ranges;

  QuantizedBytes(const Quantizer& quantizer, std::size_t count)
      : codes(quantizer.code_bytes(count)), ranges(quantizer.range_bytes(count)) {}
  Quantized out() { return {codes.data(), ranges.data()}; }
  QuantizedView view() const { return {codes.data(), ranges.data()}; }
  bool operator==(const QuantizedBytes&) const = default;
};

}  // namespace pccl::kernels::reference
