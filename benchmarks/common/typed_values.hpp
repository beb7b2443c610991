// Inputs whose reduction is known beforehand, for every data type and operation.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "pccl.h"

namespace bench {

std::size_t size_of(pcclDataType_t type);
const char* name_of(pcclDataType_t type);
const char* name_of(pcclRedOp_t op);
std::optional<pcclDataType_t> data_type_named(const std::string& name);
std::optional<pcclRedOp_t> op_named(const std::string& name);
// By the name of the codes; signed ones by zero-point-scale. "none" is none.
std::optional<pcclQuantizationOptions_t> quantization_named(const std::string& name);

void fill(void* buffer, std::size_t count, pcclDataType_t type, pcclRedOp_t op, int rank);
// The elements that are not the reduction of what ranks 0 ... world - 1 have filled in.
std::size_t count_wrong(const void* buffer, std::size_t count, pcclDataType_t type, pcclRedOp_t op,
                        int world);

}  // namespace bench
