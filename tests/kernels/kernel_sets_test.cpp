// Every set of kernels gives the bits of `scalar`, and PCCL_KERNELS chooses among them.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>

#include "kernels/dispatch.hpp"
#include "kernels/reduce.hpp"
#include "reference.hpp"

namespace pccl::kernels {
namespace {

using reference::Bytes;
using reference::difference;

Bytes random_bytes(std::size_t size, std::mt19937_64& random) {
  Bytes data(size);
  for (std::byte& byte : data) byte = static_cast<std::byte>(random());
  return data;
}

TEST(KernelSets, TheReferenceComesFirst) {
  ASSERT_FALSE(available_kernel_sets().empty());
  EXPECT_EQ(available_kernel_sets().front(), &scalar_kernels);
}

TEST(KernelSets, ReduceLikeScalarBitForBit) {
  std::mt19937_64 random{11};
  constexpr std::size_t size = 64 << 10;
  const Bytes a = random_bytes(size, random), b = random_bytes(size, random);
  for (const DataType type : reference::all_types()) {
    for (const RedOp op : reference::all_ops()) {
      Bytes expected(size), out(size);
      scalar_kernels.reduce(op, type, expected.data(), a.data(), b.data(), size / size_of(type));
      for (const KernelSet* set : available_kernel_sets()) {
        set->reduce(op, type, out.data(), a.data(), b.data(), size / size_of(type));
        EXPECT_EQ(difference(type, out, expected), "")
            << set->name << " " << name_of(type) << " " << name_of(op);
      }
    }
  }
}

TEST(KernelSets, AverageLikeScalarBitForBit) {
  std::mt19937_64 random{12};
  constexpr std::size_t size = 64 << 10;
  const Bytes sums = random_bytes(size, random);
  for (const DataType type : reference::all_types()) {
    for (const std::uint32_t world_size : {1u, 3u, 16u, 1000u, 0x0100'0001u, 0xffff'ffffu}) {
      Bytes expected = sums;
      scalar_kernels.average(type, expected.data(), size / size_of(type), world_size);
      for (const KernelSet* set : available_kernel_sets()) {
        Bytes out = sums;
        set->average(type, out.data(), size / size_of(type), world_size);
        EXPECT_EQ(difference(type, out, expected), "")
            << set->name << " " << name_of(type) << " " << world_size;
      }
    }
  }
}

TEST(KernelSets, EveryPairingOfSmallValuesIsLikeScalar) {  // all 65536 halves against a few others
  std::mt19937_64 random{13};
  std::vector<std::uint64_t> every(0x10000);
  for (std::size_t bits = 0; bits < every.size(); ++bits) every[bits] = bits;
  for (const DataType type : {DataType::float16, DataType::bfloat16}) {
    const Bytes a = reference::bytes_of(type, every);
    for (const std::uint64_t other : reference::special_values(type)) {
      const Bytes b = reference::bytes_of(type, std::vector<std::uint64_t>(every.size(), other));
      for (const RedOp op : reference::all_ops()) {
        Bytes expected(a.size()), out(a.size());
        scalar_kernels.reduce(op, type, expected.data(), a.data(), b.data(), every.size());
        for (const KernelSet* set : available_kernel_sets()) {
          set->reduce(op, type, out.data(), a.data(), b.data(), every.size());
          ASSERT_EQ(difference(type, out, expected), "")
              << set->name << " " << name_of(type) << " " << name_of(op);
        }
      }
    }
  }
}

TEST(KernelSets, AreFoundByName) {
  for (const KernelSet* set : available_kernel_sets()) EXPECT_EQ(&kernel_set_named(set->name), set);
}

TEST(KernelSets, TheWidestIsTheDefault) {
  EXPECT_EQ(&kernel_set_named(""), available_kernel_sets().back());
  EXPECT_EQ(&kernel_set_named("no such set"), available_kernel_sets().back());
}

void exit_with_success_if_chosen(const char* variable, const KernelSet& expected) {
  setenv("PCCL_KERNELS", variable, 1);
  std::_Exit(&chosen_kernel_set() == &expected ? 0 : 1);
}

// In a process of its own, because the choice is made once.
TEST(KernelSetsDeathTest, TheEnvironmentChooses) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(exit_with_success_if_chosen("scalar", scalar_kernels), testing::ExitedWithCode(0),
              "");
  EXPECT_EXIT(exit_with_success_if_chosen("", *available_kernel_sets().back()),
              testing::ExitedWithCode(0), "");
}

TEST(KernelSetsDeathTest, ABrokenPromiseEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  std::byte byte{};
  EXPECT_DEATH(finalize(RedOp::avg, DataType::uint8, &byte, 1, 0), "");
  EXPECT_DEATH(reduce(RedOp::sum, static_cast<DataType>(12), &byte, &byte, &byte, 1), "");
  EXPECT_DEATH(reduce(static_cast<RedOp>(5), DataType::uint8, &byte, &byte, &byte, 1), "");
}

}  // namespace
}  // namespace pccl::kernels
