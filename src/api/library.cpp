#include <atomic>

#include "api/answer.hpp"
#include "base/interrupt_check.hpp"
#include "device/runtime.hpp"
#include "pccl.h"

namespace pccl::api {

namespace {
std::atomic<bool> init_called{false};
}

bool initialized() {
  return init_called.load(std::memory_order_acquire);
}

}  // namespace pccl::api

pcclResult_t pcclInit() {
  pccl::api::init_called.store(true, std::memory_order_release);
  return pcclSuccess;
}

pcclResult_t pcclSetInterruptCheck(pcclInterruptCheck_t check) {
  pccl::set_interrupt_check(check);
  return pcclSuccess;
}

pcclResult_t pcclGetBuildInfo(pcclBuildInfo_t* info) {
  if (info == nullptr) return pcclInvalidArgument;
  info->has_cuda_support = pccl::device::has_cuda_support();
  return pcclSuccess;
}

const char* pcclGetVersion() {
  return PCCL_VERSION;
}
