#include "api/quantization.hpp"

#include <string>

#include "api/enums.hpp"

namespace pccl::api {

namespace {

static_assert(pcclQuantMinMax == static_cast<int>(QuantizationAlgorithm::min_max) &&
              pcclQuantZeroPointScale ==
                  static_cast<int>(QuantizationAlgorithm::zero_point_scale) &&
              pcclQuantScale == static_cast<int>(QuantizationAlgorithm::scale));

// The codes that are no element types follow those in the public numbers; four bits are two of
// them.
constexpr unsigned first_code_only = data_type_count;
constexpr unsigned first_of_those = static_cast<unsigned>(Code::uint4);
constexpr unsigned public_codes = pcclFloat8E5M2 + 1;
static_assert(pcclUint4 == first_code_only && pcclUint2 == pcclUint4 + 1 &&
              pcclFloat8E4M3 == pcclUint4 + 2 && pcclFloat8E5M2 == pcclUint4 + 3 &&
              Code::float4_e3m0 == static_cast<Code>(first_of_those + 4));

Code code_of(unsigned algorithm, unsigned type) {
  if (algorithm == pcclQuantScale && type == pcclFloat4E3M0) return Code::float4_e3m0;
  return static_cast<Code>(type < first_of_those ? type : type - first_code_only + first_of_those);
}

bool is_floating(DataType type) {
  return type >= DataType::float16;
}

bool is_float_code(Code code) {
  return code >= Code::float8_e4m3;
}

bool is_signed(Code code) {
  return code == Code::int8 || code == Code::int16 || code == Code::int32 || code == Code::int64;
}

bool fits(QuantizationAlgorithm algorithm, Code code) {
  switch (algorithm) {
    case QuantizationAlgorithm::none:
      return true;
    case QuantizationAlgorithm::min_max:
      return !is_float_code(code) && !is_signed(code);
    case QuantizationAlgorithm::zero_point_scale:
      return !is_float_code(code);
    case QuantizationAlgorithm::scale:
      return is_float_code(code);
  }
  return false;
}

}  // namespace

Answer read_quantization(const pcclQuantizationOptions_t& options, DataType source, RedOp op,
                         QuantizationOptions& out) {
  out = {};
  const unsigned algorithm = raw(options.algorithm), type = raw(options.quantized_datatype);
  if (algorithm >= quantization_algorithm_count)
    return invalid_argument("unknown quantization algorithm " + std::to_string(algorithm));
  if (algorithm == pcclQuantNone) return success();
  const auto name = std::string(name_of(static_cast<QuantizationAlgorithm>(algorithm)));
  if (type >= public_codes)
    return invalid_argument("unknown quantized datatype " + std::to_string(type));
  if (!is_floating(source))
    return invalid_argument("only floating-point elements can be quantized, these are " +
                            std::string(name_of(source)));
  if (type < first_code_only && type >= first_of_those)
    return invalid_argument(name + " quantization does not go to " +
                            std::string(name_of(static_cast<DataType>(type))));
  const Code code = code_of(algorithm, type);
  if (!fits(static_cast<QuantizationAlgorithm>(algorithm), code))
    return invalid_argument(name + " quantization does not go to " + std::string(name_of(code)));
  if (algorithm == pcclQuantZeroPointScale && op != RedOp::sum && op != RedOp::avg)
    return invalid_argument(name + " quantization is for sum and avg, not for " +
                            std::string(name_of(op)));
  out = {static_cast<QuantizationAlgorithm>(algorithm), code};
  return success();
}

}  // namespace pccl::api
