// How NCCL is found in the process. A library of its name stands in for it.
#include "device/nccl.hpp"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <string>

namespace pccl::device {
namespace {

// One test, since what is loaded stays.
TEST(Nccl, IsTheOneThatTheProcessHasLoaded) {
  std::string why;
  EXPECT_EQ(find_nccl(why), nullptr);
  EXPECT_EQ(why, "this process has not loaded NCCL (libnccl.so.2)");

  void* const incomplete = dlopen(FAKE_INCOMPLETE_NCCL, RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(incomplete, nullptr) << dlerror();
  EXPECT_EQ(find_nccl(why), nullptr);
  EXPECT_EQ(why, "the NCCL of this process has no ncclGetErrorString");
  dlclose(incomplete);

  void* const loaded = dlopen(FAKE_NCCL, RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(loaded, nullptr) << dlerror();
  Nccl* const nccl = find_nccl(why);
  ASSERT_NE(nccl, nullptr) << why;
  EXPECT_EQ(find_nccl(why), nccl);

  auto* const comm = reinterpret_cast<ncclComm*>(0x30);
  auto* const stream = reinterpret_cast<Stream>(0x40);
  const auto* const send = reinterpret_cast<const void*>(0x10);
  auto* const receive = reinterpret_cast<void*>(0x20);
  int number = 0;
  EXPECT_EQ(
      nccl->reduce_scatter(send, receive, 7, Nccl::Type::bfloat16, Nccl::Op::min, comm, stream), 0);
  EXPECT_EQ(nccl->describe(0), "reduce_scatter 0x10 0x20 7 9 3 0x30 0x40");
  EXPECT_EQ(nccl->all_gather(send, receive, 8, Nccl::Type::float32, comm, stream), 0);
  EXPECT_EQ(nccl->describe(0), "all_gather 0x10 0x20 8 7 0x30 0x40");
  EXPECT_EQ(nccl->all_reduce(send, receive, 9, Nccl::Type::int64, Nccl::Op::max, comm, stream), 0);
  EXPECT_EQ(nccl->describe(0), "all_reduce 0x10 0x20 9 4 2 0x30 0x40");
  EXPECT_EQ(nccl->comm_count(comm, &number), 0);
  EXPECT_EQ(number, 8);
  EXPECT_EQ(nccl->comm_rank(comm, &number), 0);
  EXPECT_EQ(number, 3);
  EXPECT_EQ(nccl->comm_gpu(comm, &number), 0);
  EXPECT_EQ(number, 5);
  EXPECT_EQ(nccl->async_error(comm, &number), 0);
  EXPECT_EQ(number, Nccl::in_progress);
}

// nccl.h, written down once more: the stand-ins would turn any table round.
TEST(Nccl, HasItsOwnNumbers) {
  const auto number_of = [](DataType type) {
    const auto found = nccl_type(type);
    return found ? static_cast<int>(*found) : -1;
  };
  EXPECT_EQ(number_of(DataType::int8), 0);      // ncclInt8
  EXPECT_EQ(number_of(DataType::uint8), 1);     // ncclUint8
  EXPECT_EQ(number_of(DataType::int32), 2);     // ncclInt32
  EXPECT_EQ(number_of(DataType::uint32), 3);    // ncclUint32
  EXPECT_EQ(number_of(DataType::int64), 4);     // ncclInt64
  EXPECT_EQ(number_of(DataType::uint64), 5);    // ncclUint64
  EXPECT_EQ(number_of(DataType::float16), 6);   // ncclFloat16
  EXPECT_EQ(number_of(DataType::float32), 7);   // ncclFloat32
  EXPECT_EQ(number_of(DataType::float64), 8);   // ncclFloat64
  EXPECT_EQ(number_of(DataType::bfloat16), 9);  // ncclBfloat16
  EXPECT_EQ(number_of(DataType::int16), -1);
  EXPECT_EQ(number_of(DataType::uint16), -1);
  EXPECT_EQ(static_cast<int>(nccl_op(RedOp::sum)), 0);  // ncclSum
  EXPECT_EQ(static_cast<int>(nccl_op(RedOp::avg)), 0);
  EXPECT_EQ(static_cast<int>(nccl_op(RedOp::prod)), 1);  // ncclProd
  EXPECT_EQ(static_cast<int>(nccl_op(RedOp::max)), 2);   // ncclMax
  EXPECT_EQ(static_cast<int>(nccl_op(RedOp::min)), 3);   // ncclMin
  EXPECT_EQ(Nccl::success, 0);                           // ncclSuccess
  EXPECT_EQ(Nccl::in_progress, 7);                       // ncclInProgress
}

}  // namespace
}  // namespace pccl::device
