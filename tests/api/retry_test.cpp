// pcclAllReduceMultipleWithRetry against a PeerNode that fails where the test says: no op may be
// forgotten, none done twice, and no success reported with an op undone.
#include <gtest/gtest.h>
#include <pccl.h>

#include <map>
#include <random>

#include "api/scripted_peer_node.hpp"

namespace {

using pccl::Outcome;
using pccl::Status;
using pccl_test::Script;
using pccl_test::script;

class Retry : public testing::Test {
 protected:
  Retry() {
    pcclInit();
    script() = Script{};
    const pcclCommCreateParams_t params{};
    EXPECT_EQ(pcclCreateCommunicator(&params, &comm), pcclSuccess);
    EXPECT_EQ(pcclConnect(comm), pcclSuccess);
    script().await = [this](std::uint64_t tag) {
      const Outcome outcome = next_outcome(tag);
      if (outcome.ok()) ++successes[tag];
      failed_with_others_running = !outcome.ok() && !script().in_flight.empty();
      return outcome;
    };
    script().launch = [this](std::uint64_t) {
      EXPECT_FALSE(failed_with_others_running)
          << "launched before the failed wave had been awaited";
      EXPECT_LT(script().in_flight.size(), max_in_flight);
      return refuse_launch;
    };
  }
  ~Retry() override { EXPECT_EQ(pcclDestroyCommunicator(comm), pcclSuccess); }

  pcclResult_t run(std::size_t count) {
    std::vector<pcclReduceOpDescriptor_t> descriptors(count);
    for (std::size_t i = 0; i < count; ++i) {
      descriptors[i].sendbuf = descriptors[i].recvbuf = &buffer;
      descriptors[i].descriptor.count = 1;
      descriptors[i].descriptor.tag = 100 + i;
      descriptors[i].descriptor.src_descriptor.datatype = pcclFloat;
    }
    return pcclAllReduceMultipleWithRetry(descriptors.data(), count, comm, &info,
                                          static_cast<int>(max_in_flight));
  }

  void expect_each_done_once(std::size_t count) const {
    EXPECT_EQ(successes.size(), count);
    for (const auto& [tag, times] : successes) EXPECT_EQ(times, 1) << "tag " << tag;
    EXPECT_EQ(info.tx_bytes, 10 * count);
    EXPECT_EQ(info.rx_bytes, 11 * count);
    EXPECT_EQ(info.local_world_size, script().world_size);
  }

  pcclComm_t* comm = nullptr;
  float buffer = 0;
  pcclReduceInfo_t info{};
  std::size_t max_in_flight = 3;
  std::function<Outcome(std::uint64_t tag)> next_outcome = [](auto) { return Outcome{}; };
  Outcome refuse_launch;
  std::map<std::uint64_t, int> successes;
  bool failed_with_others_running = false;
};

TEST_F(Retry, LaunchesInOrderUpToTheLimit) {
  EXPECT_EQ(run(8), pcclSuccess);
  expect_each_done_once(8);
  EXPECT_EQ(script().launched,
            (std::vector<std::uint64_t>{100, 101, 102, 103, 104, 105, 106, 107}));
}

TEST_F(Retry, LaunchesTheFailedAgainAndOnlyThose) {
  // The wave {100, 101, 102} loses 100 and 102.
  int failures = 0;
  next_outcome = [&](std::uint64_t tag) {
    const bool fails = (tag == 100 && failures == 0) || (tag == 102 && failures == 1);
    if (fails) ++failures;
    return fails ? Outcome{Status::peer_lost, "peer 7 has left"} : Outcome{};
  };
  EXPECT_EQ(run(5), pcclSuccess);
  expect_each_done_once(5);
  EXPECT_EQ(script().launched, (std::vector<std::uint64_t>{100, 101, 102, 100, 102, 103, 104}));
}

TEST_F(Retry, WorksOneAtATime) {
  max_in_flight = 1;
  int call = 0;
  next_outcome = [&](std::uint64_t) {
    return ++call % 2 == 1 ? Outcome{Status::peer_lost, "x"} : Outcome{};
  };
  EXPECT_EQ(run(4), pcclSuccess);
  expect_each_done_once(4);
  EXPECT_EQ(script().launched.size(), 8u);
}

TEST_F(Retry, AloneAtTheStart) {
  script().world_size = 1;
  EXPECT_EQ(run(2), pcclTooFewPeers);
  EXPECT_TRUE(script().launched.empty());
}

TEST_F(Retry, AloneInTheMiddleIsNotSuccess) {
  next_outcome = [&](std::uint64_t tag) {
    if (tag < 102) return Outcome{};
    script().world_size = 1;
    refuse_launch = {Status::too_few_peers, "alone"};
    return Outcome{Status::peer_lost, "the other peer has left"};
  };
  info = {7, 7, 7};
  EXPECT_EQ(run(6), pcclTooFewPeers);
  EXPECT_TRUE(script().in_flight.empty());
  EXPECT_EQ(successes.size(), 2u);
  EXPECT_EQ(info.tx_bytes, 7u);  // untouched on failure
}

TEST_F(Retry, OtherErrorsEndItWithNothingInFlight) {
  const std::pair<Status, pcclResult_t> cases[] = {{Status::invalid_argument, pcclInvalidArgument},
                                                   {Status::removed, pcclRankConnectionLost},
                                                   {Status::master_lost, pcclRankConnectionLost},
                                                   {Status::interrupted, pcclRankConnectionLost},
                                                   {Status::too_few_peers, pcclTooFewPeers},
                                                   {Status::internal, pcclInternalError}};
  for (const auto& [status, expected] : cases) {
    SCOPED_TRACE(std::string(pccl::name_of(status)));
    script().launched.clear();
    // A lost peer in the same wave does not hide the error that no retry can repair.
    next_outcome = [status = status](std::uint64_t tag) {
      if (tag == 100) return Outcome{Status::peer_lost, "x"};
      return tag == 101 ? Outcome{status, "the reason"} : Outcome{};
    };
    EXPECT_EQ(run(6), expected);
    EXPECT_TRUE(script().in_flight.empty());
    EXPECT_EQ(script().launched.size(), 3u);
    char text[200];
    EXPECT_EQ(pcclGetLastError(comm, text, sizeof text), pcclSuccess);
    EXPECT_NE(std::string(text).find("tag 101: "), std::string::npos) << text;
    EXPECT_NE(std::string(text).find("the reason"), std::string::npos) << text;
  }
}

TEST_F(Retry, AnExceptionLeavesNothingInFlight) {
  next_outcome = [](std::uint64_t tag) -> Outcome {
    if (tag == 101) throw std::runtime_error("thrown by the script");
    return {};
  };
  EXPECT_EQ(run(6), pcclInternalError);
  EXPECT_TRUE(script().in_flight.empty());
}

TEST_F(Retry, RandomFailuresNeverLoseAnOp) {
  for (unsigned seed = 1; seed <= 500; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    successes.clear();
    script().launched.clear();
    max_in_flight = 1 + random() % 6;
    const std::size_t count = 1 + random() % 20;
    next_outcome = [&](std::uint64_t) {
      return random() % 4 == 0 ? Outcome{Status::peer_lost, "x"} : Outcome{};
    };
    ASSERT_EQ(run(count), pcclSuccess);
    expect_each_done_once(count);
    ASSERT_TRUE(script().in_flight.empty());
  }
}

// The communicator around the node.

TEST(Handle, AFailedConnectMayBeRepeatedAndASuccessfulOneNot) {
  pcclInit();
  script() = Script{};
  const pcclCommCreateParams_t params{};
  pcclComm_t* comm = nullptr;
  ASSERT_EQ(pcclCreateCommunicator(&params, &comm), pcclSuccess);
  for (const Status status :
       {Status::master_lost, Status::removed, Status::timed_out, Status::interrupted}) {
    script().connect = {status, "no"};
    EXPECT_EQ(pcclConnect(comm), pcclMasterConnectionFailed);
    int world = 0;
    EXPECT_EQ(pcclGetAttribute(comm, PCCL_ATTRIBUTE_GLOBAL_WORLD_SIZE, &world), pcclInvalidUsage);
  }
  script().connect = {};
  EXPECT_EQ(pcclConnect(comm), pcclSuccess);
  EXPECT_EQ(pcclConnect(comm), pcclInvalidUsage);
  EXPECT_EQ(script().connects, 5);
  EXPECT_EQ(pcclDestroyCommunicator(comm), pcclSuccess);
}

}  // namespace
