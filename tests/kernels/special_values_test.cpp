// The promises of reduce.hpp about values that hardware and compilers treat differently, written
// out.
#include <gtest/gtest.h>

#include "kernels/dispatch.hpp"
#include "reference.hpp"

namespace pccl::kernels {
namespace {

using reference::Bytes;

// One reduction of two bit patterns, done in the middle of a vector and in the rest after the last
// one.
std::uint64_t reduced(const KernelSet& set, RedOp op, DataType type, std::uint64_t a,
                      std::uint64_t b) {
  constexpr std::size_t count = 67;
  const Bytes all_a = reference::bytes_of(type, std::vector<std::uint64_t>(count, a));
  const Bytes all_b = reference::bytes_of(type, std::vector<std::uint64_t>(count, b));
  Bytes out(all_a.size());
  set.reduce(op, type, out.data(), all_a.data(), all_b.data(), count);
  for (std::size_t i = 1; i < count; ++i)
    EXPECT_EQ(reference::bits_at(type, out, i), reference::bits_at(type, out, 0)) << set.name;
  return reference::bits_at(type, out, 0);
}

struct Encoding {
  DataType type;
  std::uint64_t infinity, nan, one;
  std::uint64_t sign() const { return std::uint64_t{1} << (8 * size_of(type) - 1); }
};
constexpr Encoding encodings[] = {
    {DataType::float16, 0x7c00, 0x7e00, 0x3c00},
    {DataType::bfloat16, 0x7f80, 0x7fc0, 0x3f80},
    {DataType::float32, 0x7f80'0000, 0x7fc0'0000, 0x3f80'0000},
    {DataType::float64, 0x7ff0'0000'0000'0000, 0x7ff8'0000'0000'0000, 0x3ff0'0000'0000'0000},
};

class SpecialValues : public testing::TestWithParam<Encoding> {
 protected:
  const Encoding is = GetParam();
  void expect(RedOp op, std::uint64_t a, std::uint64_t b, std::uint64_t result) {
    for (const KernelSet* set : available_kernel_sets()) {
      EXPECT_EQ(reduced(*set, op, is.type, a, b), result) << set->name << " " << name_of(op);
      EXPECT_EQ(reduced(*set, op, is.type, b, a), result)
          << set->name << " " << name_of(op) << ", swapped";
    }
  }
};

TEST_P(SpecialValues, EveryNaNComesOutCanonical) {
  const std::uint64_t nans[] = {
      is.nan,       is.nan | is.sign(), is.nan + 5, is.infinity + 1, is.sign() | (is.infinity + 1),
      is.sign() - 1};
  for (const RedOp op : reference::all_ops())
    for (const std::uint64_t nan : nans)
      for (const std::uint64_t other :
           {std::uint64_t{0}, is.one, is.infinity, is.infinity | is.sign(), nans[1], nans[2],
            nans[3], nans[5]})
        expect(op, nan, other, is.nan);
}

TEST_P(SpecialValues, InvalidOperationsGiveTheCanonicalNaN) {
  expect(RedOp::sum, is.infinity, is.infinity | is.sign(), is.nan);
  expect(RedOp::avg, is.infinity, is.infinity | is.sign(), is.nan);
  expect(RedOp::prod, is.infinity, 0, is.nan);
  expect(RedOp::prod, is.infinity, is.sign(), is.nan);
}

TEST_P(SpecialValues, MinusZeroIsBelowPlusZero) {
  expect(RedOp::max, is.sign(), 0, 0);
  expect(RedOp::min, is.sign(), 0, is.sign());
  expect(RedOp::max, is.sign(), is.sign(), is.sign());
  expect(RedOp::min, 0, 0, 0);
  expect(RedOp::sum, is.sign(), 0, 0);
  expect(RedOp::sum, is.sign(), is.sign(), is.sign());
  expect(RedOp::prod, is.sign(), is.one, is.sign());
}

TEST_P(SpecialValues, InfinitiesAreOrdered) {
  const std::uint64_t minus_infinity = is.infinity | is.sign();
  expect(RedOp::max, is.infinity, minus_infinity, is.infinity);
  expect(RedOp::min, is.infinity, minus_infinity, minus_infinity);
  expect(RedOp::max, minus_infinity, is.infinity - 1, is.infinity - 1);
  expect(RedOp::min, minus_infinity, (is.infinity - 1) | is.sign(), minus_infinity);
}

TEST_P(SpecialValues, DenormalsAreKept) {
  expect(RedOp::sum, 1, 2, 3);  // the bits of denormals are multiples of the smallest
  expect(RedOp::prod, 3, is.one, 3);
  expect(RedOp::max, 1, 0, 1);
  expect(RedOp::max, 1, 2, 2);
  expect(RedOp::min, 1, 0, 0);
  expect(RedOp::min, 1 | is.sign(), 2 | is.sign(), 2 | is.sign());
}

TEST_P(SpecialValues, LargeSumsOverflowToInfinity) {
  expect(RedOp::sum, is.infinity - 1, is.infinity - 1, is.infinity);
  expect(RedOp::prod, is.infinity - 1, (is.infinity - 1) | is.sign(), is.infinity | is.sign());
}

TEST_P(SpecialValues, EveryPairMatchesTheReference) {
  const std::vector<std::uint64_t> values = reference::special_values(is.type);
  std::vector<std::uint64_t> left, right;
  for (const std::uint64_t a : values)
    for (const std::uint64_t b : values) {
      left.push_back(a);
      right.push_back(b);
    }
  const Bytes a = reference::bytes_of(is.type, left), b = reference::bytes_of(is.type, right);
  for (const RedOp op : reference::all_ops()) {
    const Bytes expected = reference::reduce(op, is.type, a, b);
    for (const KernelSet* set : available_kernel_sets()) {
      Bytes out(a.size());
      set->reduce(op, is.type, out.data(), a.data(), b.data(), left.size());
      EXPECT_EQ(reference::difference(is.type, out, expected), "")
          << set->name << " " << name_of(op);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Every, SpecialValues, testing::ValuesIn(encodings),
                         [](const auto& test) { return std::string(name_of(test.param.type)); });

TEST(IntegerExtremes, WrapAround) {
  for (const KernelSet* set : available_kernel_sets()) {
    EXPECT_EQ(reduced(*set, RedOp::sum, DataType::uint8, 255, 1), 0u);
    EXPECT_EQ(reduced(*set, RedOp::sum, DataType::int8, 0x7f, 1), 0x80u);
    EXPECT_EQ(reduced(*set, RedOp::prod, DataType::uint16, 0xffff, 0xffff), 1u);
    EXPECT_EQ(reduced(*set, RedOp::prod, DataType::int16, 0x8000, 0x8000), 0u);
    EXPECT_EQ(reduced(*set, RedOp::sum, DataType::int32, 0x7fff'ffff, 1), 0x8000'0000u);
    EXPECT_EQ(reduced(*set, RedOp::prod, DataType::int32, 0x8000'0000, 0xffff'ffff), 0x8000'0000u);
    EXPECT_EQ(reduced(*set, RedOp::prod, DataType::uint64, ~0ull, ~0ull), 1u);
    EXPECT_EQ(reduced(*set, RedOp::sum, DataType::int64, ~0ull >> 1, 1), ~(~0ull >> 1));
  }
}

TEST(IntegerExtremes, SignednessDecidesTheOrder) {
  for (const KernelSet* set : available_kernel_sets()) {
    EXPECT_EQ(reduced(*set, RedOp::max, DataType::uint8, 0x80, 0x7f), 0x80u);
    EXPECT_EQ(reduced(*set, RedOp::max, DataType::int8, 0x80, 0x7f), 0x7fu);
    EXPECT_EQ(reduced(*set, RedOp::min, DataType::uint64, ~0ull, 1), 1u);
    EXPECT_EQ(reduced(*set, RedOp::min, DataType::int64, ~0ull, 1), ~0ull);
  }
}

}  // namespace
}  // namespace pccl::kernels
