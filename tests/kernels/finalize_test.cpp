// The division of avg, and that nothing else is touched.
#include <gtest/gtest.h>

#include <numeric>

#include "kernels/dispatch.hpp"
#include "kernels/reduce.hpp"
#include "reference.hpp"

namespace pccl::kernels {
namespace {

using reference::Bytes;
using reference::difference;

class Finalize : public testing::TestWithParam<DataType> {
 protected:
  const DataType type = GetParam();
  std::mt19937_64 random{7};

  void expect_average(const Bytes& sums, std::uint32_t world_size) {
    const Bytes expected = reference::average(type, sums, world_size);
    for (const KernelSet* set : available_kernel_sets()) {
      Bytes data = sums;
      set->average(type, data.data(), data.size() / size_of(type), world_size);
      EXPECT_EQ(difference(type, data, expected), "") << set->name << ", world size " << world_size;
    }
  }
};

TEST_P(Finalize, AvgDivides) {
  for (const std::uint32_t world_size :
       {1u, 2u, 3u, 5u, 7u, 8u, 64u, 255u, 256u, 257u, 1000u, 65535u, 65536u})
    for (const std::size_t count : {0u, 1u, 2u, 3u, 15u, 16u, 17u, 63u, 64u, 65u, 1000u})
      expect_average(reference::random_elements(type, count, random), world_size);
}

TEST_P(Finalize, SpecialValuesDivide) {
  const Bytes values = reference::bytes_of(type, reference::special_values(type));
  for (const std::uint32_t world_size : {1u, 2u, 3u, 10u, 127u, 128u, 32767u, 32768u, 65535u})
    expect_average(values, world_size);
}

// Not for float32, to which a world size above 2^24 would be rounded first.
class FinalizeIntegers : public Finalize {};

TEST_P(FinalizeIntegers, DivideByAnyWorldSize) {
  const Bytes values = reference::bytes_of(type, reference::special_values(type));
  for (const std::uint32_t world_size : {0x00ff'ffffu, 0x0100'0000u, 0x0100'0001u, 0x7fff'ffffu,
                                         0x8000'0000u, 0x8000'0001u, 0xffff'ffffu}) {
    expect_average(values, world_size);
    expect_average(reference::random_elements(type, 1000, random), world_size);
  }
}

class FinalizeSmallIntegers : public Finalize {};

TEST_P(FinalizeSmallIntegers, AllTruncateTowardsZero) {
  std::vector<std::uint64_t> every(std::size_t{1} << (8 * size_of(type)));
  std::iota(every.begin(), every.end(), 0u);
  const Bytes values = reference::bytes_of(type, every);
  for (std::uint32_t world_size = 1; world_size <= 70; ++world_size)
    expect_average(values, world_size);
  for (const std::uint32_t world_size :
       {127u, 128u, 255u, 256u, 257u, 32767u, 32768u, 32769u, 65535u})
    expect_average(values, world_size);
}

TEST_P(Finalize, UnalignedDataDivides) {
  const Bytes sums = reference::random_elements(type, 100, random);
  for (std::size_t offset = 1; offset < 16; ++offset) {
    Bytes buffer(offset, std::byte{0xa5});
    buffer.insert(buffer.end(), sums.begin(), sums.end());
    buffer.push_back(std::byte{0xa5});
    finalize(RedOp::avg, type, buffer.data() + offset, 100, 3);
    const Bytes data(buffer.begin() + static_cast<std::ptrdiff_t>(offset), buffer.end() - 1);
    EXPECT_EQ(difference(type, data, reference::average(type, sums, 3)), "");
    EXPECT_EQ(buffer.front(), std::byte{0xa5});
    EXPECT_EQ(buffer.back(), std::byte{0xa5});
  }
}

TEST_P(Finalize, TheOtherOpsChangeNothing) {
  const Bytes sums = reference::random_elements(type, 1000, random);
  for (const RedOp op : {RedOp::sum, RedOp::prod, RedOp::max, RedOp::min}) {
    Bytes data = sums;
    finalize(op, type, data.data(), 1000, 3);
    EXPECT_EQ(data, sums) << name_of(op);
  }
}

std::vector<DataType> integers_of_at_most(std::size_t bytes) {
  std::vector<DataType> types = reference::all_types();
  std::erase_if(types,
                [bytes](DataType t) { return reference::is_float(t) || size_of(t) > bytes; });
  return types;
}

std::string name_of_param(const testing::TestParamInfo<DataType>& test) {
  return std::string(name_of(test.param));
}

INSTANTIATE_TEST_SUITE_P(Every, Finalize, testing::ValuesIn(reference::all_types()), name_of_param);
INSTANTIATE_TEST_SUITE_P(Every, FinalizeIntegers, testing::ValuesIn(integers_of_at_most(8)),
                         name_of_param);
INSTANTIATE_TEST_SUITE_P(Every, FinalizeSmallIntegers, testing::ValuesIn(integers_of_at_most(2)),
                         name_of_param);

}  // namespace
}  // namespace pccl::kernels
