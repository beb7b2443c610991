// Addresses as text, and which of them stay on one machine.
#include "base/endpoint.hpp"

#include <gtest/gtest.h>

namespace pccl {
namespace {

IpAddress v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
  return {false, {a, b, c, d}};
}

IpAddress v6(std::uint8_t first, std::uint8_t last) {
  IpAddress address{true, {}};
  address.octets.front() = first;
  address.octets.back() = last;
  return address;
}

TEST(Endpoint, IsWrittenAsUsual) {
  EXPECT_EQ(to_string(Endpoint{v4(10, 1, 2, 3), 48150}), "10.1.2.3:48150");
  EXPECT_EQ(to_string(Endpoint{v4(255, 255, 255, 255), 65535}), "255.255.255.255:65535");
  EXPECT_EQ(to_string(Endpoint{v6(0, 1), 48150}), "[::1]:48150");
  EXPECT_EQ(to_string(v6(0xfe, 9)), "fe00::9");
  EXPECT_EQ(to_string(Endpoint{}), "0.0.0.0:0");
}

TEST(Endpoint, KnowsLoopback) {
  EXPECT_TRUE(v4(127, 0, 0, 1).is_loopback());
  EXPECT_TRUE(v4(127, 255, 0, 9).is_loopback());
  EXPECT_FALSE(v4(128, 0, 0, 1).is_loopback());
  EXPECT_FALSE(v4(10, 0, 0, 127).is_loopback());
  EXPECT_TRUE(v6(0, 1).is_loopback());
  EXPECT_FALSE(v6(0, 2).is_loopback());
  EXPECT_FALSE(v6(127, 1).is_loopback()) << "7f00::1 is not 127.0.0.1";
  EXPECT_FALSE(IpAddress{}.is_loopback());
}

TEST(Endpoint, ComparesAllOfIt) {
  EXPECT_EQ((Endpoint{v4(1, 2, 3, 4), 5}), (Endpoint{v4(1, 2, 3, 4), 5}));
  EXPECT_NE((Endpoint{v4(1, 2, 3, 4), 5}), (Endpoint{v4(1, 2, 3, 4), 6}));
  EXPECT_NE(v4(0, 0, 0, 0), v6(0, 0));
}

}  // namespace
}  // namespace pccl
