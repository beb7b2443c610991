// A master and communicators in this process, through pccl.h only.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <pccl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <string>

namespace pccl_test {

// A value that need not be one of the enum's, as a C program may pass it.
template <typename Enum>
Enum any_value(unsigned value) {
  Enum result;
  static_assert(sizeof result == sizeof value);
  std::memcpy(&result, &value, sizeof result);
  return result;
}

inline ccoip_socket_address_t loopback(std::uint16_t port, bool v6 = false) {
  ccoip_socket_address_t address{};
  address.port = port;
  if (v6) {
    address.inet.protocol = inetIPv6;
    address.inet.ipv6.data[15] = 1;
  } else {
    address.inet.protocol = inetIPv4;
    address.inet.ipv4 = {{127, 0, 0, 1}};
  }
  return address;
}

// A listening socket on a port that nobody else has; port 0 when the protocol is not available
// here.
class BusyPort {
 public:
  explicit BusyPort(bool v6 = false)
      : fd_(socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in6 address6{};
    address6.sin6_family = AF_INET6;
    address6.sin6_addr = in6addr_loopback;
    sockaddr_in address4{};
    address4.sin_family = AF_INET;
    address4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* const address =
        v6 ? reinterpret_cast<sockaddr*>(&address6) : reinterpret_cast<sockaddr*>(&address4);
    socklen_t length = v6 ? sizeof address6 : sizeof address4;
    if (fd_ < 0 || bind(fd_, address, length) != 0 || listen(fd_, 4) != 0) return;
    getsockname(fd_, address, &length);
    port_ = ntohs(v6 ? address6.sin6_port : address4.sin_port);
  }
  ~BusyPort() {
    if (fd_ >= 0) close(fd_);
  }
  BusyPort(const BusyPort&) = delete;
  BusyPort& operator=(const BusyPort&) = delete;

  std::uint16_t port() const { return port_; }

 private:
  int fd_;
  std::uint16_t port_ = 0;
};

// Free a moment ago; the kernel hands out another one to the next who asks.
inline std::uint16_t free_port(bool v6 = false) {
  return BusyPort(v6).port();
}

class Master {
 public:
  explicit Master(ccoip_socket_address_t address) {
    EXPECT_EQ(pcclCreateMaster(address, &handle_), pcclSuccess);
    EXPECT_EQ(pcclRunMaster(handle_), pcclSuccess);
  }
  ~Master() {
    EXPECT_EQ(pcclInterruptMaster(handle_), pcclSuccess);
    EXPECT_EQ(pcclMasterAwaitTermination(handle_), pcclSuccess);
    EXPECT_EQ(pcclDestroyMaster(handle_), pcclSuccess);
  }
  Master(const Master&) = delete;
  Master& operator=(const Master&) = delete;

 private:
  pcclMasterInstance_t* handle_ = nullptr;
};

class Communicator {
 public:
  explicit Communicator(ccoip_socket_address_t master, std::uint32_t group = 0) {
    pcclCommCreateParams_t params{};
    params.master_address = master;
    params.peer_group = group;
    EXPECT_EQ(pcclCreateCommunicator(&params, &handle_), pcclSuccess);
  }
  ~Communicator() { destroy(); }
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  void destroy() {
    if (handle_ == nullptr) return;
    EXPECT_EQ(pcclDestroyCommunicator(handle_), pcclSuccess);
    handle_ = nullptr;
  }
  operator pcclComm_t*() const { return handle_; }  // NOLINT: reads like the handle it is

  int attribute(pcclAttribute_t attribute) const {
    int value = -1;
    EXPECT_EQ(pcclGetAttribute(handle_, attribute, &value), pcclSuccess);
    return value;
  }
  std::string last_error() const {
    char text[512];
    EXPECT_EQ(pcclGetLastError(handle_, text, sizeof text), pcclSuccess);
    return text;
  }

 private:
  pcclComm_t* handle_ = nullptr;
};

inline pcclReduceDescriptor_t sum_of_floats(std::size_t count, std::uint64_t tag = 0) {
  pcclReduceDescriptor_t descriptor{};
  descriptor.count = count;
  descriptor.op = pcclSum;
  descriptor.tag = tag;
  descriptor.src_descriptor.datatype = pcclFloat;
  return descriptor;
}

}  // namespace pccl_test
