// A connection to oneself is none.
#include "net/dialer.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

namespace pccl::net {
namespace {

struct Loopback {
  Loopback() {
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
  sockaddr_in address{};
};

// Bound to a port of its own, which `at` then names.
FileDescriptor bound(Loopback& at) {
  FileDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::bind(socket.get(), at.get(), sizeof at.address), 0);
  socklen_t length = sizeof at.address;
  EXPECT_EQ(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&at.address), &length), 0);
  return socket;
}

TEST(ConnectedToItself, IsSeen) {
  Loopback own;
  const FileDescriptor socket = bound(own);
  EXPECT_FALSE(connected_to_itself(socket.get())) << "not connected at all";
  ASSERT_EQ(::connect(socket.get(), own.get(), sizeof own.address), 0);
  EXPECT_TRUE(connected_to_itself(socket.get()));
}

TEST(ConnectedToItself, IsNobodyWhoReachesAnother) {
  Loopback there;
  const FileDescriptor listener = bound(there);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  const FileDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::connect(socket.get(), there.get(), sizeof there.address), 0);
  EXPECT_FALSE(connected_to_itself(socket.get()));
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const FileDescriptor one(ends[0]), other(ends[1]);
  EXPECT_FALSE(connected_to_itself(one.get())) << "neither end has a name";
}

}  // namespace
}  // namespace pccl::net
