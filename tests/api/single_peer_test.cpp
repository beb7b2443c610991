// One peer and its master: a whole run, as small as it gets.
#include <chrono>
#include <future>
#include <thread>

#include "api/local_run.hpp"

namespace {

using namespace pccl_test;
using namespace std::chrono_literals;

class SinglePeer : public testing::Test {
 protected:
  static void SetUpTestSuite() { pcclInit(); }

  const std::uint16_t master_port = free_port();
};

TEST_F(SinglePeer, IsAdmittedAtOnceAndCountsItself) {
  const Master master(loopback(master_port));
  const Communicator comm(loopback(master_port));
  ASSERT_EQ(pcclConnect(comm), pcclSuccess) << comm.last_error();
  EXPECT_EQ(comm.attribute(PCCL_ATTRIBUTE_GLOBAL_WORLD_SIZE), 1);
  EXPECT_EQ(comm.attribute(PCCL_ATTRIBUTE_PEER_GROUP_WORLD_SIZE), 1);
  EXPECT_EQ(comm.attribute(PCCL_ATTRIBUTE_NUM_DISTINCT_PEER_GROUPS), 1);
  EXPECT_EQ(comm.attribute(PCCL_ATTRIBUTE_LARGEST_PEER_GROUP_WORLD_SIZE), 1);
  EXPECT_EQ(comm.attribute(PCCL_ATTRIBUTE_STAR_BYTES), 0) << "there is nobody to reduce with";
}

TEST_F(SinglePeer, CollectivesOverTheRunWorkAlone) {
  const Master master(loopback(master_port));
  const Communicator comm(loopback(master_port));
  ASSERT_EQ(pcclConnect(comm), pcclSuccess) << comm.last_error();
  bool pending = true;
  EXPECT_EQ(pcclArePeersPending(comm, &pending), pcclSuccess) << comm.last_error();
  EXPECT_FALSE(pending);
  EXPECT_EQ(pcclUpdateTopology(comm), pcclSuccess) << comm.last_error();
  EXPECT_EQ(pcclOptimizeTopology(comm), pcclInvalidUsage) << "there is nothing to optimise";
  EXPECT_NE(comm.last_error().find("no other peer"), std::string::npos) << comm.last_error();
  EXPECT_EQ(comm.attribute(PCCL_ATTRIBUTE_GLOBAL_WORLD_SIZE), 1);
}

TEST_F(SinglePeer, HasNobodyToReduceWith) {
  const Master master(loopback(master_port));
  const Communicator comm(loopback(master_port));
  ASSERT_EQ(pcclConnect(comm), pcclSuccess) << comm.last_error();
  float buffer[2] = {1.5f, 2.5f};
  const pcclReduceDescriptor_t descriptor = sum_of_floats(2);
  pcclAsyncReduceOp_t handle{};
  pcclReduceOpDescriptor_t one{buffer, buffer, descriptor};
  pcclReduceInfo_t info{99, 99, 99};
  EXPECT_EQ(pcclAllReduce(buffer, buffer, &descriptor, comm, &info), pcclTooFewPeers);
  EXPECT_EQ(pcclAllReduceAsync(buffer, buffer, &descriptor, comm, &handle), pcclTooFewPeers);
  EXPECT_EQ(pcclAllReduceMultipleWithRetry(&one, 1, comm, &info, 4), pcclTooFewPeers);
  EXPECT_EQ(buffer[0], 1.5f);
  EXPECT_EQ(buffer[1], 2.5f);
  EXPECT_EQ(info.local_world_size, 99u);  // untouched on failure
  EXPECT_EQ(info.tx_bytes, 99u);
}

TEST_F(SinglePeer, BadDescriptorsAreRefusedBeforeTheWorldIsLookedAt) {
  const Master master(loopback(master_port));
  const Communicator comm(loopback(master_port));
  ASSERT_EQ(pcclConnect(comm), pcclSuccess) << comm.last_error();
  float buffer[1] = {};
  const auto reduce = [&](const pcclReduceDescriptor_t& descriptor) {
    return pcclAllReduce(buffer, buffer, &descriptor, comm, nullptr);
  };
  const auto with = [](auto change) {
    pcclReduceDescriptor_t descriptor = sum_of_floats(1);
    change(descriptor);
    return descriptor;
  };
  EXPECT_EQ(pcclAllReduce(buffer, buffer, nullptr, comm, nullptr), pcclInvalidArgument);
  EXPECT_EQ(reduce(with([](auto& d) { d.op = any_value<pcclRedOp_t>(5); })), pcclInvalidArgument);
  EXPECT_EQ(
      reduce(with([](auto& d) { d.src_descriptor.datatype = any_value<pcclDataType_t>(12); })),
      pcclInvalidArgument);
  EXPECT_EQ(reduce(with([](auto& d) {
              d.src_descriptor.distribution_hint = any_value<pcclDistributionHint_t>(3);
            })),
            pcclInvalidArgument);
  EXPECT_EQ(reduce(with([](auto& d) {
              d.quantization_options.algorithm = any_value<pcclQuantizationAlgorithm_t>(4);
            })),
            pcclInvalidArgument);
  EXPECT_EQ(reduce(with([](auto& d) { d.count = SIZE_MAX / 2; })), pcclInvalidArgument);
  // With no quantization the quantized type means nothing, whatever it is.
  EXPECT_EQ(reduce(with([](auto& d) {
              d.quantization_options.quantized_datatype = any_value<pcclDataType_t>(99);
            })),
            pcclTooFewPeers);

  const pcclReduceDescriptor_t one = sum_of_floats(1);
  EXPECT_EQ(pcclAllReduce(nullptr, buffer, &one, comm, nullptr), pcclInvalidArgument);
  EXPECT_EQ(pcclAllReduce(buffer, nullptr, &one, comm, nullptr), pcclInvalidArgument);
  const pcclReduceDescriptor_t none = sum_of_floats(0);
  EXPECT_EQ(pcclAllReduce(nullptr, nullptr, &none, comm, nullptr), pcclTooFewPeers);

  pcclReduceOpDescriptor_t twins[2] = {{buffer, buffer, one}, {buffer, buffer, one}};
  EXPECT_EQ(pcclAllReduceMultipleWithRetry(twins, 2, comm, nullptr, 2), pcclInvalidArgument);
  EXPECT_NE(comm.last_error().find("twice"), std::string::npos);
}

TEST_F(SinglePeer, AnUnknownHandleIsALostOp) {
  const Master master(loopback(master_port));
  const Communicator comm(loopback(master_port));
  ASSERT_EQ(pcclConnect(comm), pcclSuccess) << comm.last_error();
  const pcclAsyncReduceOp_t handle{comm, 1234};
  pcclReduceInfo_t info{99, 99, 99};
  EXPECT_EQ(pcclAwaitAsyncReduce(&handle, &info), pcclRankConnectionLost);
  EXPECT_EQ(info.local_world_size, 99u);
}

TEST_F(SinglePeer, ConnectsOnlyOnce) {
  const Master master(loopback(master_port));
  const Communicator comm(loopback(master_port));
  ASSERT_EQ(pcclConnect(comm), pcclSuccess) << comm.last_error();
  EXPECT_EQ(pcclConnect(comm), pcclInvalidUsage);
  EXPECT_NE(comm.last_error().find("already connected"), std::string::npos);
  EXPECT_EQ(comm.attribute(PCCL_ATTRIBUTE_GLOBAL_WORLD_SIZE), 1);  // the connection is as it was
}

TEST_F(SinglePeer, AFailedConnectMayBeRepeated) {
  const Communicator comm(loopback(master_port));
  ASSERT_EQ(pcclConnect(comm), pcclMasterConnectionFailed);  // nobody listens
  EXPECT_NE(comm.last_error(), "");
  const Master master(loopback(master_port));
  EXPECT_EQ(pcclConnect(comm), pcclSuccess) << comm.last_error();
}

TEST_F(SinglePeer, ConnectsOverIpv6) {
  const std::uint16_t port = free_port(true);
  if (port == 0) GTEST_SKIP() << "no IPv6 here";
  const Master master(loopback(port, true));
  const Communicator comm(loopback(port, true));
  ASSERT_EQ(pcclConnect(comm), pcclSuccess) << comm.last_error();
  EXPECT_EQ(comm.attribute(PCCL_ATTRIBUTE_GLOBAL_WORLD_SIZE), 1);
}

TEST_F(SinglePeer, LeavesRoomForTheNext) {
  const Master master(loopback(master_port));
  for (int life = 0; life < 5; ++life) {
    const Communicator comm(loopback(master_port));
    ASSERT_EQ(pcclConnect(comm), pcclSuccess) << comm.last_error();
    EXPECT_EQ(comm.attribute(PCCL_ATTRIBUTE_GLOBAL_WORLD_SIZE), 1);
  }
}

TEST_F(SinglePeer, DestroyEndsAConnectThatWaitsInAnotherThread) {
  const Master master(loopback(master_port));
  const Communicator member(loopback(master_port));
  ASSERT_EQ(pcclConnect(member), pcclSuccess) << member.last_error();
  for (const auto head_start : {0us, 200us, 20000us}) {
    Communicator candidate(loopback(master_port));
    // The member never calls pcclUpdateTopology: the candidate waits for ever.
    auto connecting =
        std::async(std::launch::async,
                   [handle = static_cast<pcclComm_t*>(candidate)] { return pcclConnect(handle); });
    std::this_thread::sleep_for(head_start);  // no state to wait for: any moment must do
    candidate.destroy();
    ASSERT_EQ(connecting.wait_for(10s), std::future_status::ready);
    const pcclResult_t result = connecting.get();
    // pcclInvalidArgument: the destroy was first, and the handle no more.
    EXPECT_TRUE(result == pcclMasterConnectionFailed || result == pcclInvalidArgument) << result;
  }
}

}  // namespace
