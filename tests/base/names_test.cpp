// Types, ops and statuses: sizes, and a name for every value, also for one that does not exist.
#include <gtest/gtest.h>

#include <set>
#include <string_view>

#include "base/dtype.hpp"
#include "base/status.hpp"

namespace pccl {
namespace {

TEST(Names, EveryDataTypeHasASizeAndAName) {
  std::set<std::string_view> names;
  for (std::uint8_t value = 0; value < data_type_count; ++value) {
    const auto type = static_cast<DataType>(value);
    const std::size_t size = size_of(type);
    EXPECT_TRUE(size == 1 || size == 2 || size == 4 || size == 8) << name_of(type);
    names.insert(name_of(type));
  }
  EXPECT_EQ(names.size(), data_type_count);
  EXPECT_EQ(name_of(DataType::bfloat16), "bfloat16");
  EXPECT_EQ(name_of(DataType::float64), "float64");
  EXPECT_EQ(size_of(DataType::float16), 2u);
  EXPECT_EQ(size_of(static_cast<DataType>(data_type_count)), 0u);
  EXPECT_EQ(name_of(static_cast<DataType>(data_type_count)), "unknown type");
}

TEST(Names, EveryOpHasAName) {
  std::set<std::string_view> names;
  for (std::uint8_t value = 0; value < red_op_count; ++value)
    names.insert(name_of(static_cast<RedOp>(value)));
  EXPECT_EQ(names.size(), red_op_count);
  EXPECT_EQ(name_of(static_cast<RedOp>(red_op_count)), "unknown op");
}

TEST(Names, EveryStatusHasAName) {
  std::set<std::string_view> names;
  const auto last = static_cast<std::uint8_t>(Status::internal);
  for (std::uint8_t value = 0; value <= last; ++value)
    names.insert(name_of(static_cast<Status>(value)));
  EXPECT_EQ(names.size(), last + 1u);
  EXPECT_FALSE(names.contains("unknown status"));
  EXPECT_EQ(name_of(static_cast<Status>(last + 1)), "unknown status");
}

TEST(Outcome, IsOkUnlessItSaysOtherwise) {
  EXPECT_TRUE(Outcome{}.ok());
  EXPECT_TRUE(Outcome::success().ok());
  EXPECT_FALSE((Outcome{Status::peer_lost, "why"}).ok());
}

TEST(InvariantDeathTest, ABrokenInvariantNamesItselfAndEndsTheProcess) {
  PCCL_INVARIANT(1 + 1 == 2);
  EXPECT_DEATH(PCCL_INVARIANT(1 + 1 == 3), "broken invariant: 1 \\+ 1 == 3 .*names_test.cpp");
}

}  // namespace
}  // namespace pccl
