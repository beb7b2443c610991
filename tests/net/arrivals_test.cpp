#include "net/arrivals.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>

#include "net/file_descriptor.hpp"

namespace pccl::net {
namespace {

TEST(Arrivals, InOrderTheBytesCount) {
  Arrivals arrivals;
  arrivals.look({.bytes_in_order = 500, .segments = 3, .segment_bytes = 1000});
  EXPECT_EQ(arrivals.bytes(), 0U);
  arrivals.look({.bytes_in_order = 1700, .segments = 5, .segment_bytes = 1000});
  EXPECT_EQ(arrivals.bytes(), 1200U);
  arrivals.look({.bytes_in_order = 1750, .segments = 6, .segment_bytes = 1000});
  EXPECT_EQ(arrivals.bytes(), 1250U);
}

TEST(Arrivals, BehindAGapTheSegmentsDo) {
  Arrivals arrivals;
  arrivals.look({});
  arrivals.look({.bytes_in_order = 10'000, .segments = 10, .segment_bytes = 1000});
  const Received gap{
      .bytes_in_order = 12'000, .segments = 20, .segments_out_of_order = 8, .segment_bytes = 1000};
  arrivals.look(gap);
  EXPECT_EQ(arrivals.bytes(), 20'000U);
  Received closed = gap;
  closed.bytes_in_order = 25'000;  // once more what came before
  closed.segments = 25;
  arrivals.look(closed);
  EXPECT_EQ(arrivals.bytes(), 25'000U);
  Received in_order = closed;  // so bytes count again
  in_order.bytes_in_order += 300;
  ++in_order.segments;
  arrivals.look(in_order);
  EXPECT_EQ(arrivals.bytes(), 25'300U);
}

TEST(Arrivals, TheKernelCountsWhatNobodyHasReadYet) {
  const FileDescriptor door(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  ASSERT_EQ(::bind(door.get(), any, length), 0);
  ASSERT_EQ(::listen(door.get(), 1), 0);
  ASSERT_EQ(::getsockname(door.get(), any, &length), 0);
  const FileDescriptor sender(::socket(AF_INET, SOCK_STREAM, 0));
  ASSERT_EQ(::connect(sender.get(), any, length), 0);
  const FileDescriptor receiver(::accept(door.get(), nullptr, nullptr));
  const std::array<char, 5000> bytes{};
  ASSERT_EQ(::send(sender.get(), bytes.data(), bytes.size(), 0), 5000);
  std::array<char, 5000> peeked;
  ASSERT_EQ(::recv(receiver.get(), peeked.data(), peeked.size(), MSG_PEEK | MSG_WAITALL), 5000);
  const Received received = received_by(receiver.get());
  EXPECT_EQ(received.bytes_in_order, 5000U);
  EXPECT_GE(received.segments, 1U);
  EXPECT_EQ(received.segments_out_of_order, 0U);
  EXPECT_EQ(received_by(-1).bytes_in_order, 0U);
}

}  // namespace
}  // namespace pccl::net
