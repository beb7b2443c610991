// What the tests of quantization run over, and numbers in and out of buffers.
#pragma once

#include <algorithm>
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

// Every fourth block or so of `data` becomes whatever bits can be.
inline void make_some_blocks_wild(Bytes& data, DataType type, std::size_t block,
                                  std::mt19937_64& random) {
  const std::size_t count = data.size() / size_of(type);
  const Bytes wild = random_elements(type, count, random);
  for (std::size_t first = 0; first < count; first += block)
    if (random() % 4 == 0)
      std::copy_n(wild.begin() + static_cast<std::ptrdiff_t>(first * size_of(type)),
                  std::min(block, count - first) * size_of(type),
                  data.begin() + static_cast<std::ptrdiff_t>(first * size_of(type)));
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
