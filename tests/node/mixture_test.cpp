// What a sync that broke off leaves.
#include <gtest/gtest.h>

#include <vector>

#include "device/fake_runtime.hpp"
#include "node/prepared_state.hpp"

namespace pccl::node {
namespace {

class AMixture : public testing::Test {
 protected:
  void prepare_on(device::Location where, void* data) {
    EXPECT_TRUE(prepare({{"w", data, 1000, DataType::uint8, false, where}}, state).ok());
  }
  pccl_test::InstalledRuntime cuda;  // outlives what is prepared on it
  PreparedState state;
  Mixture mixture;
};

TEST_F(AMixture, IsWhatTheTensorsHoldThen) {
  std::vector<char> bytes(1000, 1);
  prepare_on({}, bytes.data());
  const Digest before = state.digest.content;
  EXPECT_FALSE(mixture.broke_off(state)) << "no byte has changed";
  bytes[7] = 2;
  EXPECT_TRUE(mixture.broke_off(state));
  EXPECT_TRUE(mixture.is(state.digest.content));
  EXPECT_FALSE(mixture.is(before));
  mixture.none();
  EXPECT_FALSE(mixture.is(state.digest.content));
}

TEST_F(AMixture, ThatCannotBeReadIsWhatIsReadNext) {
  prepare_on({device::Place::cuda, 0}, cuda->device_memory(1000));
  cuda->break_down();
  EXPECT_TRUE(mixture.broke_off(state));
  const Digest next{{1}}, after{{2}};
  EXPECT_TRUE(mixture.is(next));
  EXPECT_TRUE(mixture.is(next));
  EXPECT_FALSE(mixture.is(after)) << "the application has changed it";
}

}  // namespace
}  // namespace pccl::node
