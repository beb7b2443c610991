// pcclSetInterruptCheck: the application leaves a call that blocks.
#include <gtest/gtest.h>
#include <pccl.h>

#include <atomic>
#include <functional>
#include <future>
#include <vector>

#include "api/two_peers.hpp"

namespace pccl_test {
namespace {

thread_local bool wants_out = false;  // of calls on this thread
std::atomic<int> times_asked{0};

bool check() {
  if (wants_out) ++times_asked;
  return wants_out && times_asked > 1;
}

class Interrupted : public TwoPeers {
 protected:
  Interrupted() {
    times_asked = 0;
    pcclSetInterruptCheck(check);
  }
  ~Interrupted() override { pcclSetInterruptCheck(nullptr); }

  static pcclResult_t interrupted(const std::function<pcclResult_t()>& call) {
    return std::async(std::launch::async,
                      [&] {
                        wants_out = true;
                        return call();
                      })
        .get();
  }
  void expect_one_has_left() {
    EXPECT_NE(one.last_error().find("interrupted by the application"), std::string::npos)
        << one.last_error();
    EXPECT_EQ(pcclUpdateTopology(one), pcclUpdateTopologyFailed);
    EXPECT_EQ(pcclConnect(one), pcclInvalidUsage);
    expect_the_other_goes_on();
  }
  // The master may hear the other's vote before it hears that `one` has left, whose own vote it has
  // if that is what was interrupted: such an update still counts both. No second one can.
  void expect_the_other_goes_on() {
    EXPECT_EQ(pcclUpdateTopology(two), pcclSuccess);
    if (two.attribute(PCCL_ATTRIBUTE_GLOBAL_WORLD_SIZE) == 2) {
      EXPECT_EQ(pcclUpdateTopology(two), pcclSuccess);
    }
    EXPECT_EQ(two.attribute(PCCL_ATTRIBUTE_GLOBAL_WORLD_SIZE), 1);
  }
};

TEST_F(Interrupted, AllReduceGivesItsInputBack) {
  std::vector<float> buffer(1 << 20, 3.0f);
  const pcclReduceDescriptor_t sum = sum_of_floats(buffer.size());
  EXPECT_EQ(
      interrupted([&] { return pcclAllReduce(buffer.data(), buffer.data(), &sum, one, nullptr); }),
      pcclRankConnectionLost);
  EXPECT_GT(times_asked, 1);
  EXPECT_EQ(buffer, std::vector<float>(1 << 20, 3.0f));
  expect_one_has_left();
}

TEST_F(Interrupted, ManyWithRetryIsNotTriedAgain) {
  std::vector<float> buffer(1000, 3.0f);
  const pcclReduceOpDescriptor_t op{buffer.data(), buffer.data(), sum_of_floats(buffer.size())};
  EXPECT_NE(interrupted([&] { return pcclAllReduceMultipleWithRetry(&op, 1, one, nullptr, 1); }),
            pcclSuccess);
  expect_one_has_left();
}

TEST_F(Interrupted, UpdateTopologyLeaves) {
  EXPECT_EQ(interrupted([&] { return pcclUpdateTopology(one); }), pcclUpdateTopologyFailed);
  expect_one_has_left();
}

TEST_F(Interrupted, SynchronizeLeaves) {
  float value = 1;
  pcclTensorInfo_t entry{"value", &value, 1, pcclFloat, pcclDeviceCpu, false};
  pcclSharedState_t state{0, 1, &entry};
  EXPECT_EQ(interrupted([&] {
              return pcclSynchronizeSharedState(
                  one, &state, PCCL_SHARED_STATE_SYNC_STRATEGY_ENFORCE_POPULAR, nullptr);
            }),
            pcclInvalidUsage);
  expect_one_has_left();
}

// Nobody votes for it. It may be tried again.
TEST_F(Interrupted, ConnectIsAsIfNeverCalled) {
  Communicator third(loopback(master_port));
  EXPECT_EQ(interrupted([&] { return pcclConnect(third); }), pcclMasterConnectionFailed);
  EXPECT_EQ(interrupted([&] { return pcclConnect(third); }), pcclMasterConnectionFailed);
}

TEST_F(Interrupted, TheMasterGoesOn) {
  pcclMasterInstance_t* other = nullptr;
  ASSERT_EQ(pcclCreateMaster(loopback(free_port()), &other), pcclSuccess);
  ASSERT_EQ(pcclRunMaster(other), pcclSuccess);
  EXPECT_EQ(interrupted([&] { return pcclMasterAwaitTermination(other); }), pcclInvalidUsage);
  EXPECT_EQ(pcclInterruptMaster(other), pcclSuccess);
  EXPECT_EQ(pcclMasterAwaitTermination(other), pcclSuccess);
  EXPECT_EQ(pcclDestroyMaster(other), pcclSuccess);
}

// A check that answers no is no hindrance, however long the wait.
TEST_F(Interrupted, WhoIsAskedMayStay) {
  auto update = std::async(std::launch::async, [&] { return pcclUpdateTopology(one); });
  EXPECT_EQ(update.wait_for(std::chrono::milliseconds(350)), std::future_status::timeout);
  EXPECT_EQ(pcclUpdateTopology(two), pcclSuccess);
  EXPECT_EQ(update.get(), pcclSuccess);
}

}  // namespace
}  // namespace pccl_test
