// NCCL linked into the program itself, under no name of its own.
#include <gtest/gtest.h>

#include <string>

#include "device/nccl.hpp"

namespace pccl::device {
namespace {

TEST(LinkedNccl, IsFound) {
  std::string why;
  Nccl* const nccl = find_nccl(why);
  ASSERT_NE(nccl, nullptr) << why;
  int ranks = 0;
  EXPECT_EQ(nccl->comm_count(nullptr, &ranks), Nccl::success);
  EXPECT_EQ(ranks, 8);
}

}  // namespace
}  // namespace pccl::device
