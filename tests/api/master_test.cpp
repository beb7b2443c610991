// The life of a master, in every order a program may call it.
#include <chrono>
#include <future>

#include "api/local_run.hpp"

namespace {

using namespace pccl_test;
using namespace std::chrono_literals;

class MasterLife : public testing::Test {
 protected:
  static pcclMasterInstance_t* create(std::uint16_t port) {
    pcclMasterInstance_t* master = nullptr;
    EXPECT_EQ(pcclCreateMaster(loopback(port), &master), pcclSuccess);
    return master;
  }
};

TEST_F(MasterLife, RefusesNullAndUnknownProtocols) {
  EXPECT_EQ(pcclCreateMaster(loopback(1), nullptr), pcclInvalidArgument);
  EXPECT_EQ(pcclRunMaster(nullptr), pcclInvalidArgument);
  EXPECT_EQ(pcclInterruptMaster(nullptr), pcclInvalidArgument);
  EXPECT_EQ(pcclMasterAwaitTermination(nullptr), pcclInvalidArgument);
  EXPECT_EQ(pcclDestroyMaster(nullptr), pcclInvalidArgument);
  ccoip_socket_address_t address = loopback(1);
  address.inet.protocol = any_value<ccoip_inet_protocol_t>(7);
  pcclMasterInstance_t* master = nullptr;
  EXPECT_EQ(pcclCreateMaster(address, &master), pcclInvalidArgument);
  EXPECT_EQ(master, nullptr);
}

TEST_F(MasterLife, NeverRunIsInvalidUsage) {
  pcclMasterInstance_t* const master = create(free_port());
  EXPECT_EQ(pcclInterruptMaster(master), pcclInvalidUsage);
  EXPECT_EQ(pcclMasterAwaitTermination(master), pcclInvalidUsage);
  EXPECT_EQ(pcclDestroyMaster(master), pcclSuccess);
}

TEST_F(MasterLife, RunsOnlyOnce) {
  pcclMasterInstance_t* const master = create(free_port());
  ASSERT_EQ(pcclRunMaster(master), pcclSuccess);
  EXPECT_EQ(pcclRunMaster(master), pcclInvalidUsage);
  EXPECT_EQ(pcclInterruptMaster(master), pcclSuccess);
  EXPECT_EQ(pcclMasterAwaitTermination(master), pcclSuccess);
  EXPECT_EQ(pcclRunMaster(master), pcclInvalidUsage);  // nor after it has ended
  EXPECT_EQ(pcclDestroyMaster(master), pcclSuccess);
}

TEST_F(MasterLife, InterruptAndAwaitMayBeRepeated) {
  pcclMasterInstance_t* const master = create(free_port());
  ASSERT_EQ(pcclRunMaster(master), pcclSuccess);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(pcclInterruptMaster(master), pcclSuccess);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(pcclMasterAwaitTermination(master), pcclSuccess);
  EXPECT_EQ(pcclInterruptMaster(master), pcclSuccess);
  EXPECT_EQ(pcclDestroyMaster(master), pcclSuccess);
}

TEST_F(MasterLife, AwaitBlocksUntilInterrupted) {
  pcclMasterInstance_t* const master = create(free_port());
  ASSERT_EQ(pcclRunMaster(master), pcclSuccess);
  auto awaiting =
      std::async(std::launch::async, [&] { return pcclMasterAwaitTermination(master); });
  EXPECT_EQ(awaiting.wait_for(50ms), std::future_status::timeout);
  EXPECT_EQ(pcclInterruptMaster(master), pcclSuccess);
  ASSERT_EQ(awaiting.wait_for(10s), std::future_status::ready);
  EXPECT_EQ(awaiting.get(), pcclSuccess);
  EXPECT_EQ(pcclDestroyMaster(master), pcclSuccess);
}

TEST_F(MasterLife, DestroyStopsOneThatRuns) {
  pcclMasterInstance_t* const master = create(free_port());
  ASSERT_EQ(pcclRunMaster(master), pcclSuccess);
  EXPECT_EQ(pcclDestroyMaster(master), pcclSuccess);
}

TEST_F(MasterLife, ABusyPortIsInvalidUsage) {
  const BusyPort busy;
  pcclMasterInstance_t* const master = create(busy.port());
  EXPECT_EQ(pcclRunMaster(master), pcclInvalidUsage);
  EXPECT_EQ(pcclDestroyMaster(master), pcclSuccess);
}

TEST_F(MasterLife, TwoMastersCannotShareAPort) {
  const std::uint16_t port = free_port();
  const Master first(loopback(port));
  pcclMasterInstance_t* const second = create(port);
  EXPECT_EQ(pcclRunMaster(second), pcclInvalidUsage);
  EXPECT_EQ(pcclDestroyMaster(second), pcclSuccess);
}

TEST_F(MasterLife, OneAfterTheOtherOnTheSamePortWithACommunicatorStillOpen) {
  pcclInit();
  const std::uint16_t port = free_port();
  for (int life = 0; life < 3; ++life) {
    Communicator comm(loopback(port));
    {
      const Master master(loopback(port));
      ASSERT_EQ(pcclConnect(comm), pcclSuccess) << comm.last_error();
    }
    // Its sockets linger in the kernel while the next master binds.
  }
}

}  // namespace
