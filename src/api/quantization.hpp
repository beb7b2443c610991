// Which quantizations a caller may ask for: of what, to what.
#pragma once

#include "api/answer.hpp"
#include "base/dtype.hpp"
#include "base/quantization.hpp"
#include "pccl.h"

namespace pccl::api {

Answer read_quantization(const pcclQuantizationOptions_t& options, DataType source, RedOp op,
                         QuantizationOptions& out);

}  // namespace pccl::api
