#include <gtest/gtest.h>

#include "sim/world.hpp"

namespace pccl::sim {
namespace {

using namespace std::chrono_literals;

TEST(Thin, ThreeJoinOneDiesTwoGoOn) {
  World world({.seed = 1, .trace = getenv("SIM_TRACE") != nullptr});
  SimPeer& a = world.spawn();
  SimPeer& b = world.spawn();
  SimPeer& c = world.spawn();
  ASSERT_TRUE(world.run_until(
      [&] { return a.world_size() == 3 && c.world_size() == 3 && c.reduces_done > 10; }, 20s));
  b.kill();
  const auto before = a.reduces_done;
  EXPECT_TRUE(world.run_until([&] { return a.reduces_done > before + 20; }, 10s));
  EXPECT_EQ(a.world_size(), 2u);
}

}  // namespace
}  // namespace pccl::sim
