// A process in which pcclInit is called last.
#include "api/local_run.hpp"

namespace {

using namespace pccl_test;

// One test, since the order matters.
TEST(NotInitialized, ComesBeforeEveryOtherCheckAndEndsWithInit) {
  pcclComm_t* comm = nullptr;
  int value = 0;
  bool pending = false;
  char text[8];
  EXPECT_EQ(pcclCreateCommunicator(nullptr, &comm), pcclNotInitialized);
  EXPECT_EQ(pcclDestroyCommunicator(nullptr), pcclNotInitialized);
  EXPECT_EQ(pcclGetAttribute(nullptr, PCCL_ATTRIBUTE_GLOBAL_WORLD_SIZE, &value),
            pcclNotInitialized);
  EXPECT_EQ(pcclConnect(nullptr), pcclNotInitialized);
  EXPECT_EQ(pcclUpdateTopology(nullptr), pcclNotInitialized);
  EXPECT_EQ(pcclOptimizeTopology(nullptr), pcclNotInitialized);
  EXPECT_EQ(pcclArePeersPending(nullptr, &pending), pcclNotInitialized);
  EXPECT_EQ(pcclAllReduce(nullptr, nullptr, nullptr, nullptr, nullptr), pcclNotInitialized);
  EXPECT_EQ(pcclAllReduceAsync(nullptr, nullptr, nullptr, nullptr, nullptr), pcclNotInitialized);
  EXPECT_EQ(pcclAwaitAsyncReduce(nullptr, nullptr), pcclNotInitialized);
  EXPECT_EQ(pcclAllReduceMultipleWithRetry(nullptr, 0, nullptr, nullptr, 0), pcclNotInitialized);
  pcclErrorFeedback_t* feedback = nullptr;
  float* residual = nullptr;
  EXPECT_EQ(pcclCreateErrorFeedback(1, &feedback), pcclNotInitialized);
  EXPECT_EQ(pcclErrorFeedbackData(nullptr, &residual, nullptr), pcclNotInitialized);
  EXPECT_EQ(pcclDestroyErrorFeedback(nullptr), pcclNotInitialized);
  EXPECT_EQ(pcclAllReduceWithFeedback(nullptr, nullptr, nullptr, nullptr, nullptr, nullptr),
            pcclNotInitialized);
  EXPECT_EQ(pcclAllReduceWithFeedbackAsync(nullptr, nullptr, nullptr, nullptr, nullptr, nullptr),
            pcclNotInitialized);
  EXPECT_EQ(pcclAllReduceMultipleWithFeedback(nullptr, nullptr, 0, nullptr, nullptr, 0),
            pcclNotInitialized);
  EXPECT_EQ(pcclSynchronizeSharedState(nullptr, nullptr,
                                       PCCL_SHARED_STATE_SYNC_STRATEGY_ENFORCE_POPULAR, nullptr),
            pcclNotInitialized);
  std::uint64_t bytes = 0;
  EXPECT_EQ(pcclSetCohort(nullptr, 1, 2), pcclNotInitialized);
  EXPECT_EQ(pcclCommAttachLocal(nullptr, nullptr, nullptr), pcclNotInitialized);
  EXPECT_EQ(pcclGetSyncProgress(nullptr, &bytes, &bytes), pcclNotInitialized);
  EXPECT_EQ(pcclGetLastError(nullptr, text, sizeof text), pcclNotInitialized);

  // These need no pcclInit.
  pcclBuildInfo_t info;
  EXPECT_EQ(pcclGetBuildInfo(&info), pcclSuccess);
  EXPECT_EQ(info.has_cuda_support, BUILT_WITH_CUDA != 0);
  EXPECT_EQ(pcclGetBuildInfo(nullptr), pcclInvalidArgument);
  EXPECT_STREQ(pcclGetVersion(), "2.0.0");
  EXPECT_NE(std::string(pcclGetErrorString(pcclNotInitialized)).find("pcclInit"),
            std::string::npos);
  { const Master master(loopback(free_port())); }

  EXPECT_EQ(pcclInit(), pcclSuccess);
  EXPECT_EQ(pcclInit(), pcclSuccess);
  EXPECT_EQ(pcclConnect(nullptr), pcclInvalidArgument);
}

}  // namespace
