// What can be refused by looking at the arguments, and what an unconnected communicator answers.
#include <set>
#include <string>
#include <vector>

#include "api/local_run.hpp"

namespace {

using namespace pccl_test;

class Arguments : public testing::Test {
 protected:
  static void SetUpTestSuite() { pcclInit(); }
};

TEST_F(Arguments, CreateRefusesNullAndUnknownProtocols) {
  pcclCommCreateParams_t params{};
  pcclComm_t* comm = nullptr;
  EXPECT_EQ(pcclCreateCommunicator(&params, nullptr), pcclInvalidArgument);
  EXPECT_EQ(pcclCreateCommunicator(nullptr, &comm), pcclInvalidArgument);
  params.master_address.inet.protocol = any_value<ccoip_inet_protocol_t>(2);
  EXPECT_EQ(pcclCreateCommunicator(&params, &comm), pcclInvalidArgument);
  EXPECT_EQ(comm, nullptr);
}

TEST_F(Arguments, CreateAndDestroyWithoutConnecting) {
  const pcclCommCreateParams_t params{};
  pcclComm_t* comm = nullptr;
  ASSERT_EQ(pcclCreateCommunicator(&params, &comm), pcclSuccess);
  EXPECT_NE(comm, nullptr);
  EXPECT_EQ(pcclDestroyCommunicator(comm), pcclSuccess);
}

TEST_F(Arguments, ADestroyedHandleIsRefused) {
  const pcclCommCreateParams_t params{};
  pcclComm_t* comm = nullptr;
  ASSERT_EQ(pcclCreateCommunicator(&params, &comm), pcclSuccess);
  ASSERT_EQ(pcclDestroyCommunicator(comm), pcclSuccess);
  EXPECT_EQ(pcclDestroyCommunicator(comm), pcclInvalidArgument);
  EXPECT_EQ(pcclConnect(comm), pcclInvalidArgument);
}

TEST_F(Arguments, NullIsInvalid) {
  const Communicator comm(loopback(1));
  int value = 0;
  bool pending = false;
  float buffer[1] = {};
  const pcclReduceDescriptor_t descriptor = sum_of_floats(1);
  pcclAsyncReduceOp_t handle{};
  EXPECT_EQ(pcclDestroyCommunicator(nullptr), pcclInvalidArgument);
  EXPECT_EQ(pcclConnect(nullptr), pcclInvalidArgument);
  EXPECT_EQ(pcclUpdateTopology(nullptr), pcclInvalidArgument);
  EXPECT_EQ(pcclGetAttribute(nullptr, PCCL_ATTRIBUTE_GLOBAL_WORLD_SIZE, &value),
            pcclInvalidArgument);
  EXPECT_EQ(pcclGetAttribute(comm, PCCL_ATTRIBUTE_GLOBAL_WORLD_SIZE, nullptr), pcclInvalidArgument);
  std::uint64_t bytes = 0;
  EXPECT_EQ(pcclSetCohort(nullptr, 1, 2), pcclInvalidArgument);
  EXPECT_EQ(pcclCommAttachLocal(nullptr, nullptr, nullptr), pcclInvalidArgument);
  EXPECT_EQ(pcclGetSyncProgress(nullptr, &bytes, &bytes), pcclInvalidArgument);
  EXPECT_EQ(pcclOptimizeTopology(nullptr), pcclInvalidArgument);
  EXPECT_EQ(pcclArePeersPending(nullptr, &pending), pcclInvalidArgument);
  EXPECT_EQ(pcclArePeersPending(comm, nullptr), pcclInvalidArgument);
  EXPECT_EQ(pcclAllReduce(buffer, buffer, &descriptor, nullptr, nullptr), pcclInvalidArgument);
  EXPECT_EQ(pcclAllReduceAsync(buffer, buffer, &descriptor, nullptr, &handle), pcclInvalidArgument);
  EXPECT_EQ(pcclAllReduceAsync(buffer, buffer, &descriptor, comm, nullptr), pcclInvalidArgument);
  EXPECT_EQ(pcclAwaitAsyncReduce(nullptr, nullptr), pcclInvalidArgument);
  EXPECT_EQ(pcclAwaitAsyncReduce(&handle, nullptr), pcclInvalidArgument);  // its comm is NULL
  pcclReduceOpDescriptor_t one{buffer, buffer, descriptor};
  EXPECT_EQ(pcclAllReduceMultipleWithRetry(nullptr, 1, comm, nullptr, 1), pcclInvalidArgument);
  EXPECT_EQ(pcclAllReduceMultipleWithRetry(&one, 1, nullptr, nullptr, 1), pcclInvalidArgument);
  EXPECT_EQ(pcclAllReduceMultipleWithRetry(&one, 0, comm, nullptr, 1), pcclInvalidArgument);
  EXPECT_EQ(pcclAllReduceMultipleWithRetry(&one, 1, comm, nullptr, 0), pcclInvalidArgument);
  EXPECT_EQ(pcclAllReduceMultipleWithRetry(&one, 1, comm, nullptr, -1), pcclInvalidArgument);
}

TEST_F(Arguments, UnknownAttributeIsInvalid) {
  const Communicator comm(loopback(1));
  int value = 77;
  EXPECT_EQ(pcclGetAttribute(comm, any_value<pcclAttribute_t>(0), &value), pcclInvalidArgument);
  EXPECT_EQ(pcclGetAttribute(comm, any_value<pcclAttribute_t>(7), &value), pcclInvalidArgument);
  EXPECT_EQ(value, 77);
}

TEST_F(Arguments, UnconnectedIsInvalidUsage) {
  const Communicator comm(loopback(1));
  int value = 0;
  bool pending = false;
  float buffer[1] = {};
  const pcclReduceDescriptor_t descriptor = sum_of_floats(1);
  pcclAsyncReduceOp_t handle{};
  pcclReduceOpDescriptor_t one{buffer, buffer, descriptor};
  EXPECT_EQ(pcclUpdateTopology(comm), pcclInvalidUsage);
  EXPECT_EQ(pcclGetAttribute(comm, PCCL_ATTRIBUTE_GLOBAL_WORLD_SIZE, &value), pcclInvalidUsage);
  std::uint64_t bytes = 0;
  EXPECT_EQ(pcclGetSyncProgress(comm, &bytes, &bytes), pcclInvalidUsage);
  EXPECT_EQ(pcclOptimizeTopology(comm), pcclInvalidUsage);
  EXPECT_EQ(pcclArePeersPending(comm, &pending), pcclInvalidUsage);
  EXPECT_EQ(pcclAllReduce(buffer, buffer, &descriptor, comm, nullptr), pcclInvalidUsage);
  EXPECT_EQ(pcclAllReduceAsync(buffer, buffer, &descriptor, comm, &handle), pcclInvalidUsage);
  EXPECT_EQ(pcclAllReduceMultipleWithRetry(&one, 1, comm, nullptr, 1), pcclInvalidUsage);
  pcclSharedState_t nothing{};
  EXPECT_EQ(pcclSynchronizeSharedState(comm, &nothing,
                                       PCCL_SHARED_STATE_SYNC_STRATEGY_ENFORCE_POPULAR, nullptr),
            pcclInvalidUsage);
}

TEST_F(Arguments, OfASync) {
  const Communicator comm(loopback(1));
  float data[2] = {};
  const auto with = [&](auto change, pcclSharedStateSyncStrategy_t strategy =
                                         PCCL_SHARED_STATE_SYNC_STRATEGY_ENFORCE_POPULAR) {
    pcclTensorInfo_t infos[2] = {{"a", data, 1, pcclFloat, pcclDeviceCpu, false},
                                 {"b", data + 1, 1, pcclFloat, pcclDeviceCpu, false}};
    pcclSharedState_t state{0, 2, infos};
    change(state);
    return pcclSynchronizeSharedState(comm, &state, strategy, nullptr);
  };
  const auto nothing = [](pcclSharedState_t&) {};
  EXPECT_EQ(with(nothing), pcclInvalidUsage);  // all right, but not connected
  EXPECT_EQ(with(nothing, any_value<pcclSharedStateSyncStrategy_t>(3)), pcclInvalidArgument);
  EXPECT_EQ(with([](auto& state) { state.infos = nullptr; }), pcclInvalidArgument);
  EXPECT_EQ(with([](auto& state) { state.count = ~std::size_t{0}; }), pcclInvalidArgument);
  EXPECT_EQ(with([](auto& state) { state.infos[1].name = nullptr; }), pcclInvalidArgument);
  EXPECT_EQ(with([](auto& state) { state.infos[1].name = "a"; }), pcclInvalidArgument);
  EXPECT_NE(comm.last_error().find("two entries are named \"a\""), std::string::npos);
  EXPECT_EQ(with([](auto& state) { state.revision = std::uint64_t{1} << 62; }),
            pcclInvalidArgument);
  EXPECT_NE(comm.last_error().find("not below 2^62"), std::string::npos);
  const std::vector<std::string> names = [] {
    std::vector<std::string> made;
    for (int i = 0; i < 9000; ++i) made.push_back(std::to_string(i) + std::string(990, 'n'));
    return made;
  }();
  std::vector<pcclTensorInfo_t> many;
  for (const std::string& name : names)
    many.push_back({name.c_str(), data, 1, pcclFloat, pcclDeviceCpu, false});
  EXPECT_EQ(with([&](auto& state) { state.infos = many.data(), state.count = many.size(); }),
            pcclInvalidArgument);
  EXPECT_NE(comm.last_error().find("over the limit of 8 MiB"), std::string::npos);
  const std::string long_name(2000, 'n');
  EXPECT_EQ(with([&](auto& state) { state.infos[0].name = long_name.c_str(); }),
            pcclInvalidArgument);
  EXPECT_EQ(with([](auto& state) { state.infos[0].data = nullptr; }), pcclInvalidArgument);
  EXPECT_EQ(with([](auto& state) { state.infos[0].count = ~std::size_t{0}; }), pcclInvalidArgument);
  EXPECT_EQ(with([](auto& state) { state.infos[0].datatype = any_value<pcclDataType_t>(12); }),
            pcclInvalidArgument);
  EXPECT_EQ(with([](auto& state) { state.infos[0].device_type = any_value<pcclDeviceType_t>(2); }),
            pcclInvalidArgument);
  EXPECT_EQ(with([](auto& state) { state.infos[0].device_type = pcclDeviceCuda; }),
            pcclInvalidArgument);
  EXPECT_NE(comm.last_error().find("CUDA"), std::string::npos);
  EXPECT_EQ(pcclSynchronizeSharedState(comm, nullptr,
                                       PCCL_SHARED_STATE_SYNC_STRATEGY_ENFORCE_POPULAR, nullptr),
            pcclInvalidArgument);
}

TEST_F(Arguments, LastErrorNamesTheCallAndIsCutToTheBuffer) {
  const Communicator comm(loopback(1));
  EXPECT_EQ(comm.last_error(), "");
  EXPECT_EQ(pcclUpdateTopology(comm), pcclInvalidUsage);
  EXPECT_EQ(comm.last_error(), "pcclUpdateTopology: not connected");
  char text[8];
  EXPECT_EQ(pcclGetLastError(comm, text, sizeof text), pcclSuccess);
  EXPECT_STREQ(text, "pcclUpd");
  EXPECT_EQ(pcclGetLastError(comm, text, 1), pcclSuccess);
  EXPECT_STREQ(text, "");
  EXPECT_EQ(pcclGetLastError(comm, text, 0), pcclInvalidArgument);
  EXPECT_EQ(pcclGetLastError(comm, nullptr, 8), pcclInvalidArgument);
  EXPECT_EQ(pcclGetLastError(nullptr, text, 8), pcclInvalidArgument);
}

TEST_F(Arguments, EveryResultHasATextOfItsOwn) {
  std::set<std::string> texts;
  for (unsigned result = 0; result <= pcclTopologyOptimizationFailed; ++result)
    texts.insert(pcclGetErrorString(any_value<pcclResult_t>(result)));
  EXPECT_EQ(texts.size(), pcclTopologyOptimizationFailed + 1u);
  EXPECT_STREQ(pcclGetErrorString(any_value<pcclResult_t>(4711)), "unknown pcclResult_t");
}

}  // namespace
