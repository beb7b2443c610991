// Pointers to memory of a GPU, as far as the C API can see: a driver that is a stand-in says so.
#include <gtest/gtest.h>
#include <pccl.h>

#include <string>
#include <vector>

#include "api/local_run.hpp"
#include "loaded_driver.hpp"

namespace pccl_test {
namespace {

TEST(DevicePointers, AreRefusedWithAReason) {
  ASSERT_EQ(pcclInit(), pcclSuccess);
  std::vector<float> gpu(10), host(10);
  LoadedDriver driver;
  driver.gpu_memory(gpu.data(), gpu.size() * sizeof(float));
  const std::uint16_t port = free_port();
  const Master master(loopback(port));
  const Communicator comm(loopback(port));
  ASSERT_EQ(pcclConnect(comm), pcclSuccess) << comm.last_error();
  const pcclReduceDescriptor_t sum = sum_of_floats(10);
  pcclBuildInfo_t build{};
  ASSERT_EQ(pcclGetBuildInfo(&build), pcclSuccess);
  const auto expect_refused = [&](float* send, float* receive, const std::string& why) {
    EXPECT_EQ(pcclAllReduce(send, receive, &sum, comm, nullptr), pcclInvalidArgument);
    EXPECT_NE(comm.last_error().find(why), std::string::npos) << comm.last_error();
  };
  const std::string without = "buffer is memory of a GPU; this build takes host memory only";
  expect_refused(gpu.data(), host.data(),
                 build.has_cuda_support ? "the receive buffer memory of the host" : without);
  expect_refused(host.data(), gpu.data(),
                 build.has_cuda_support ? "the receive buffer memory of GPU 0" : without);
  EXPECT_EQ(pcclAllReduce(host.data(), host.data(), &sum, comm, nullptr), pcclTooFewPeers);

  pcclTensorInfo_t entry{"weights", gpu.data(), 10, pcclFloat, pcclDeviceCpu, false};
  pcclSharedState_t state{0, 1, &entry};
  EXPECT_EQ(pcclSynchronizeSharedState(comm, &state,
                                       PCCL_SHARED_STATE_SYNC_STRATEGY_ENFORCE_POPULAR, nullptr),
            pcclInvalidArgument);
  EXPECT_NE(comm.last_error().find("the data is memory of a GPU"), std::string::npos);
}

}  // namespace
}  // namespace pccl_test
