#include "common/sockets.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace bench {

namespace {

void require(bool good, const char* what) {
  if (good) return;
  std::perror(what);
  std::exit(1);
}

}  // namespace

std::pair<int, int> connected_pair() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  require(bind(listener, any, length) == 0 && listen(listener, 1) == 0, "listen");
  require(getsockname(listener, any, &length) == 0, "getsockname");
  const int left = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  require(connect(left, any, length) == 0, "connect");
  const int right = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  require(right >= 0, "accept");
  close(listener);
  for (const int fd : {left, right}) {
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  return {left, right};
}

void make_nonblocking(int fd) {
  require(fcntl(fd, F_SETFL, O_NONBLOCK) == 0, "fcntl");
}

void write_all(int fd, const void* data, std::size_t bytes) {
  const auto* at = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t n = send(fd, at, bytes, MSG_NOSIGNAL);
    if (n <= 0) std::exit(1);
    at += n;
    bytes -= static_cast<std::size_t>(n);
  }
}

void read_all(int fd, void* data, std::size_t bytes) {
  auto* at = static_cast<char*>(data);
  while (bytes > 0) {
    const ssize_t n = recv(fd, at, bytes, 0);
    if (n <= 0) std::exit(1);
    at += n;
    bytes -= static_cast<std::size_t>(n);
  }
}

}  // namespace bench
