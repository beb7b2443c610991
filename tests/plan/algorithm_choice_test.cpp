// Who travels through the master: a pure function of the size.
#include "plan/algorithm_choice.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace pccl::plan {
namespace {

TEST(AlgorithmChoice, SmallInputsTravelThroughTheMaster) {
  static_assert(goes_through_master(0));
  EXPECT_TRUE(goes_through_master(1));
  EXPECT_TRUE(goes_through_master(limits::star_bytes));
  EXPECT_FALSE(goes_through_master(limits::star_bytes + 1));
  EXPECT_FALSE(goes_through_master(std::numeric_limits<std::size_t>::max()));
}

}  // namespace
}  // namespace pccl::plan
