#include "reference.hpp"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace pccl::kernels::reference {

namespace {

__extension__ using Signed128 = __int128;
__extension__ using Unsigned128 = unsigned __int128;

bool is_signed(DataType type) {
  return type == DataType::int8 || type == DataType::int16 || type == DataType::int32 ||
         type == DataType::int64;
}

Signed128 integer_of(DataType type, std::uint64_t bits) {
  const auto sign = std::uint64_t{1} << (8 * size_of(type) - 1);
  const Signed128 value = bits;
  return is_signed(type) && (bits & sign) != 0 ? value - 2 * static_cast<Signed128>(sign) : value;
}

double number_of(DataType type, std::uint64_t bits) {
  if (type == DataType::float16) return float16.decode(static_cast<std::uint16_t>(bits));
  if (type == DataType::bfloat16) return bfloat16.decode(static_cast<std::uint16_t>(bits));
  if (type == DataType::float32) return std::bit_cast<float>(static_cast<std::uint32_t>(bits));
  return std::bit_cast<double>(bits);
}

// The arithmetic of `type` on a result that a double holds exactly, or so that rounding twice
// rounds right.
std::uint64_t rounded_to(DataType type, double value) {
  if (std::isnan(value)) return canonical_nan(type);
  if (type == DataType::float64) return std::bit_cast<std::uint64_t>(value);
  const auto in_float32 = static_cast<float>(value);
  if (type == DataType::float16) return float16.encode(in_float32);
  if (type == DataType::bfloat16) return bfloat16.encode(in_float32);
  return std::bit_cast<std::uint32_t>(in_float32);
}

std::uint64_t reduce_integers(RedOp op, DataType type, std::uint64_t a, std::uint64_t b) {
  const Signed128 x = integer_of(type, a), y = integer_of(type, b);
  switch (op) {
    case RedOp::sum:
    case RedOp::avg:
      return static_cast<std::uint64_t>(x + y);
    case RedOp::prod:
      return static_cast<std::uint64_t>(static_cast<Unsigned128>(x) * static_cast<Unsigned128>(y));
    case RedOp::max:
      return x > y ? a : b;
    case RedOp::min:
      return x < y ? a : b;
  }
  return 0;
}

std::uint64_t reduce_floats(RedOp op, DataType type, std::uint64_t a, std::uint64_t b) {
  const double x = number_of(type, a), y = number_of(type, b);
  if (std::isnan(x) || std::isnan(y)) return canonical_nan(type);
  if (op == RedOp::sum || op == RedOp::avg) return rounded_to(type, x + y);
  if (op == RedOp::prod) return rounded_to(type, x * y);
  const bool a_is_smaller = x < y || (x == y && std::signbit(x));
  return a_is_smaller == (op == RedOp::min) ? a : b;
}

void put(DataType type, std::uint64_t bits, std::size_t index, Bytes& data) {
  std::memcpy(data.data() + index * size_of(type), &bits, size_of(type));  // little endian
}

static_assert(std::endian::native == std::endian::little);

}  // namespace

Bytes bytes_of_numbers(DataType type, const std::vector<double>& numbers) {
  Bytes data(numbers.size() * size_of(type));
  for (std::size_t i = 0; i < numbers.size(); ++i) put(type, rounded_to(type, numbers[i]), i, data);
  return data;
}

std::vector<double> numbers_of(DataType type, const Bytes& data) {
  std::vector<double> numbers(data.size() / size_of(type));
  for (std::size_t i = 0; i < numbers.size(); ++i)
    numbers[i] = number_of(type, bits_at(type, data, i));
  return numbers;
}

Bytes reduce(RedOp op, DataType type, const Bytes& a, const Bytes& b) {
  Bytes result(a.size());
  for (std::size_t i = 0; i < a.size() / size_of(type); ++i) {
    const std::uint64_t x = bits_at(type, a, i), y = bits_at(type, b, i);
    put(type, is_float(type) ? reduce_floats(op, type, x, y) : reduce_integers(op, type, x, y), i,
        result);
  }
  return result;
}

Bytes average(DataType type, const Bytes& data, std::uint32_t world_size) {
  Bytes result(data.size());
  for (std::size_t i = 0; i < data.size() / size_of(type); ++i) {
    const std::uint64_t bits = bits_at(type, data, i);
    const auto quotient =
        is_float(type) ? rounded_to(type, number_of(type, bits) / world_size)
                       : static_cast<std::uint64_t>(integer_of(type, bits) / Signed128{world_size});
    put(type, quotient, i, result);
  }
  return result;
}

double HalfFormat::decode(std::uint16_t bits) const {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = (bits & 0x7fff) >> fraction_bits;
  const int fraction = bits & ((1 << fraction_bits) - 1);
  double magnitude;
  if (exponent == (1 << exponent_bits) - 1)
    magnitude = fraction == 0 ? std::numeric_limits<double>::infinity()
                              : std::numeric_limits<double>::quiet_NaN();
  else if (exponent == 0)
    magnitude = std::ldexp(fraction, 1 - bias - fraction_bits);
  else
    magnitude = std::ldexp((1 << fraction_bits) + fraction, exponent - bias - fraction_bits);
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

std::uint16_t HalfFormat::encode(double value) const {
  if (std::isnan(value)) return nan();
  const auto sign = static_cast<std::uint16_t>(std::signbit(value) ? 0x8000 : 0);
  const double magnitude = std::fabs(value);
  if (std::isinf(magnitude)) return sign | infinity();
  // For rounding, infinity stands for the number that would follow the largest one.
  const auto number = [this](int bits) {
    if (bits != infinity()) return decode(static_cast<std::uint16_t>(bits));
    return 2 * decode(static_cast<std::uint16_t>(infinity() - (1 << fraction_bits)));
  };
  if (magnitude >= number(infinity())) return sign | infinity();
  int below = 0, above = infinity();  // number(below) <= magnitude < number(above)
  while (above - below > 1) {
    const int middle = (below + above) / 2;
    (number(middle) <= magnitude ? below : above) = middle;
  }
  const double to_below = magnitude - number(below), to_above = number(above) - magnitude;
  const bool up = to_above < to_below || (to_above == to_below && below % 2 == 1);
  return static_cast<std::uint16_t>(sign | (up ? above : below));
}

Bytes random_elements(DataType type, std::size_t count, std::mt19937_64& random) {
  const std::vector<std::uint64_t> special = special_values(type);
  Bytes data(count * size_of(type));
  for (std::size_t i = 0; i < count; ++i)
    put(type, random() % 8 == 0 ? special[random() % special.size()] : random(), i, data);
  return data;
}

std::vector<std::uint64_t> special_values(DataType type) {
  const auto sign = std::uint64_t{1} << (8 * size_of(type) - 1);
  if (!is_float(type))
    return {0, 1, 2, 3, sign - 1, sign, sign + 1, sign | (sign - 1), sign | (sign - 2)};
  const std::uint64_t infinity = type == DataType::float16    ? 0x7c00
                                 : type == DataType::bfloat16 ? 0x7f80
                                 : type == DataType::float32  ? 0x7f80'0000
                                                              : 0x7ff0'0000'0000'0000;
  const std::uint64_t smallest_normal = infinity & ~(infinity << 1);
  const std::uint64_t nan = canonical_nan(type);
  std::vector<std::uint64_t> values = {0,
                                       1,
                                       2,
                                       smallest_normal - 1,
                                       smallest_normal,
                                       smallest_normal + 1,
                                       infinity / 2,
                                       infinity - 1,
                                       infinity,
                                       infinity + 1,  // signalling
                                       nan,
                                       nan + 5,
                                       sign - 1};
  for (const double number : {1.0, 2.0, 3.0, 0.1, 1e-3, 255.0, 65504.0})
    values.push_back(rounded_to(type, number));
  const std::size_t positive = values.size();
  for (std::size_t i = 0; i < positive; ++i) values.push_back(values[i] | sign);
  return values;
}

Bytes bytes_of(DataType type, const std::vector<std::uint64_t>& bit_patterns) {
  Bytes data(bit_patterns.size() * size_of(type));
  for (std::size_t i = 0; i < bit_patterns.size(); ++i) put(type, bit_patterns[i], i, data);
  return data;
}

std::uint64_t bits_at(DataType type, const Bytes& data, std::size_t index) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, data.data() + index * size_of(type), size_of(type));
  return bits;
}

bool is_float(DataType type) {
  return type >= DataType::float16;
}

std::uint64_t canonical_nan(DataType type) {
  switch (type) {
    case DataType::float16:
      return float16.nan();
    case DataType::bfloat16:
      return bfloat16.nan();
    case DataType::float32:
      return 0x7fc0'0000;
    default:
      return 0x7ff8'0000'0000'0000;
  }
}

std::vector<DataType> all_types() {
  std::vector<DataType> types;
  for (std::uint8_t type = 0; type < data_type_count; ++type)
    types.push_back(static_cast<DataType>(type));
  return types;
}

std::vector<RedOp> all_ops() {
  std::vector<RedOp> ops;
  for (std::uint8_t op = 0; op < red_op_count; ++op) ops.push_back(static_cast<RedOp>(op));
  return ops;
}

std::string difference(DataType type, const Bytes& actual, const Bytes& expected) {
  if (actual.size() != expected.size())
    return fmt::format("{} bytes, should be {}", actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size() / size_of(type); ++i)
    if (bits_at(type, actual, i) != bits_at(type, expected, i))
      return fmt::format("element {}: {:x}, should be {:x}", i, bits_at(type, actual, i),
                         bits_at(type, expected, i));
  return {};
}

}  // namespace pccl::kernels::reference
