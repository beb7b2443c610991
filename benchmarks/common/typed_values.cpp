#include "common/typed_values.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "common/element_types.hpp"

namespace bench {

namespace {

struct TypeRow {
  pcclDataType_t type;
  const char* name;
  std::size_t bytes;
  double tolerance;  // relative; 0 for types whose results are exact
};

constexpr std::array types{
    TypeRow{pcclUint8, "uint8", 1, 0},     TypeRow{pcclInt8, "int8", 1, 0},
    TypeRow{pcclInt16, "int16", 2, 0},     TypeRow{pcclUint16, "uint16", 2, 0},
    TypeRow{pcclUint32, "uint32", 4, 0},   TypeRow{pcclInt32, "int32", 4, 0},
    TypeRow{pcclUint64, "uint64", 8, 0},   TypeRow{pcclInt64, "int64", 8, 0},
    TypeRow{pcclFloat16, "half", 2, 2e-3}, TypeRow{pcclBFloat16, "bfloat16", 2, 2e-2},
    TypeRow{pcclFloat, "float", 4, 1e-6},  TypeRow{pcclDouble, "double", 8, 1e-12}};

constexpr std::array<std::pair<pcclRedOp_t, const char*>, 5> ops{
    {{pcclSum, "sum"}, {pcclAvg, "avg"}, {pcclProd, "prod"}, {pcclMax, "max"}, {pcclMin, "min"}}};

const TypeRow& row_of(pcclDataType_t type) {
  for (const TypeRow& row : types) {
    if (row.type == type) return row;
  }
  return types[0];
}

double value(std::size_t index, int rank, pcclRedOp_t op) {
  if (op == pcclProd) return 1 + static_cast<double>((index + static_cast<std::size_t>(rank)) % 2);
  return static_cast<double>(index % 13) + rank + 1;
}

double reduction(std::size_t index, int world, pcclRedOp_t op) {
  double result = value(index, 0, op);
  for (int rank = 1; rank < world; ++rank) {
    const double next = value(index, rank, op);
    if (op == pcclProd) result *= next;
    if (op == pcclSum || op == pcclAvg) result += next;
    if (op == pcclMax) result = std::max(result, next);
    if (op == pcclMin) result = std::min(result, next);
  }
  return op == pcclAvg ? result / world : result;
}

constexpr std::size_t period = 26;  // of value() in its index

}  // namespace

std::size_t size_of(pcclDataType_t type) {
  return row_of(type).bytes;
}
const char* name_of(pcclDataType_t type) {
  return row_of(type).name;
}
const char* name_of(pcclRedOp_t op) {
  return ops[static_cast<std::size_t>(op)].second;
}

std::optional<pcclDataType_t> data_type_named(const std::string& name) {
  for (const TypeRow& row : types) {
    if (row.name == name) return row.type;
  }
  return std::nullopt;
}

std::optional<pcclRedOp_t> op_named(const std::string& name) {
  for (const auto& [op, known] : ops) {
    if (known == name) return op;
  }
  return std::nullopt;
}

std::optional<pcclQuantizationOptions_t> quantization_named(const std::string& name) {
  if (name == "none") return pcclQuantizationOptions_t{pcclUint8, pcclQuantNone};
  constexpr std::pair<const char*, pcclQuantizationOptions_t> narrow[] = {
      {"uint4", {pcclUint4, pcclQuantMinMax}},
      {"uint2", {pcclUint2, pcclQuantMinMax}},
      {"float8_e4m3", {pcclFloat8E4M3, pcclQuantScale}},
      {"float8_e5m2", {pcclFloat8E5M2, pcclQuantScale}},
      {"float4_e3m0", {pcclFloat4E3M0, pcclQuantScale}}};
  for (const auto& [known, options] : narrow)
    if (name == known) return options;
  const auto type = data_type_named(name);
  if (!type || *type > pcclInt64) return std::nullopt;
  return pcclQuantizationOptions_t{
      *type, name.starts_with("u") ? pcclQuantMinMax : pcclQuantZeroPointScale};
}

void fill(void* buffer, std::size_t count, pcclDataType_t type, pcclRedOp_t op, int rank) {
  with_type(type, [&]<typename T>(T*) {
    std::array<T, period> values;
    for (std::size_t i = 0; i < period; ++i) values[i] = static_cast<T>(value(i, rank, op));
    T* const elements = static_cast<T*>(buffer);
    for (std::size_t i = 0; i < count; ++i) elements[i] = values[i % period];
  });
}

std::size_t count_wrong(const void* buffer, std::size_t count, pcclDataType_t type, pcclRedOp_t op,
                        int world) {
  return with_type(type, [&]<typename T>(T*) {
    std::array<double, period> expected;
    for (std::size_t i = 0; i < period; ++i) {
      expected[i] = reduction(i, world, op);
      if (row_of(type).tolerance == 0) expected[i] = std::trunc(expected[i]);
    }
    std::size_t wrong = 0;
    const T* const elements = static_cast<const T*>(buffer);
    for (std::size_t i = 0; i < count; ++i) {
      const double want = expected[i % period];
      const double error = std::abs(static_cast<double>(elements[i]) - want);
      wrong += !(error <= row_of(type).tolerance * want);  // NaN is wrong
    }
    return wrong;
  });
}

}  // namespace bench
