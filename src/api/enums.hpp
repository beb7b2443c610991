// Enum values as C programs pass them: any integer. Reading one as the C++ enum first would already
// be undefined for a value out of range, so they are read as the integers they are.
#pragma once

#include <cstring>
#include <type_traits>

#include "base/dtype.hpp"
#include "base/sync_strategy.hpp"
#include "pccl.h"

namespace pccl::api {

template <typename Enum>
unsigned raw(const Enum& value) {
  static_assert(std::is_enum_v<Enum> && sizeof(Enum) == sizeof(unsigned));
  unsigned number;
  std::memcpy(&number, &value, sizeof number);
  return number;
}

// The internal enums repeat the numbers of pccl.h.
static_assert(pcclUint8 == static_cast<int>(DataType::uint8) &&
              pcclInt8 == static_cast<int>(DataType::int8) &&
              pcclInt16 == static_cast<int>(DataType::int16) &&
              pcclUint16 == static_cast<int>(DataType::uint16) &&
              pcclUint32 == static_cast<int>(DataType::uint32) &&
              pcclInt32 == static_cast<int>(DataType::int32) &&
              pcclUint64 == static_cast<int>(DataType::uint64) &&
              pcclInt64 == static_cast<int>(DataType::int64) &&
              pcclFloat16 == static_cast<int>(DataType::float16) &&
              pcclBFloat16 == static_cast<int>(DataType::bfloat16) &&
              pcclFloat == static_cast<int>(DataType::float32) &&
              pcclDouble == static_cast<int>(DataType::float64));
static_assert(pcclSum == static_cast<int>(RedOp::sum) && pcclAvg == static_cast<int>(RedOp::avg) &&
              pcclProd == static_cast<int>(RedOp::prod) &&
              pcclMax == static_cast<int>(RedOp::max) && pcclMin == static_cast<int>(RedOp::min));

static_assert(PCCL_SHARED_STATE_SYNC_STRATEGY_ENFORCE_POPULAR ==
                  static_cast<int>(SyncStrategy::enforce_popular) &&
              PCCL_SHARED_STATE_SYNC_STRATEGY_RECEIVE_ONLY ==
                  static_cast<int>(SyncStrategy::receive_only) &&
              PCCL_SHARED_STATE_SYNC_STRATEGY_SEND_ONLY ==
                  static_cast<int>(SyncStrategy::send_only));

}  // namespace pccl::api
