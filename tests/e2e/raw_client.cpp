#include "e2e/raw_client.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

namespace e2e {

RawClient::RawClient(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd_ < 0 || ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    throw std::system_error(errno, std::generic_category(), "connect");
}

RawClient::~RawClient() {
  if (fd_ >= 0) ::close(fd_);
}

void RawClient::send(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent <= 0) return;
    bytes = bytes.subspan(static_cast<std::size_t>(sent));
  }
}

void RawClient::send(pccl::Term term, const pccl::wire::Message& message) {
  send(bytes_of(term, message));
}

std::optional<pccl::wire::Frame> RawClient::receive(Clock::duration within) {
  const auto deadline = Clock::now() + within;
  while (true) {
    if (auto frame = reader_.next()) return frame;
    const auto rest = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (rest.count() <= 0) return std::nullopt;
    pollfd poll{fd_, POLLIN, 0};
    if (::poll(&poll, 1, static_cast<int>(rest.count())) <= 0) continue;
    std::array<std::byte, 4096> buffer;
    const ssize_t count = ::recv(fd_, buffer.data(), buffer.size(), 0);
    if (count <= 0) return std::nullopt;
    reader_.append(std::span(buffer).first(static_cast<std::size_t>(count)));
  }
}

bool RawClient::closed_within(Clock::duration time) {
  const auto deadline = Clock::now() + time;
  std::array<std::byte, 4096> dropped;
  while (true) {
    const auto rest = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (rest.count() <= 0) return false;
    pollfd poll{fd_, POLLIN, 0};
    if (::poll(&poll, 1, static_cast<int>(rest.count())) > 0 &&
        ::recv(fd_, dropped.data(), dropped.size(), 0) <= 0)
      return true;
  }
}

void RawClient::reset() {
  const linger now{1, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  ::close(std::exchange(fd_, -1));
}

std::vector<std::byte> bytes_of(pccl::Term term, const pccl::wire::Message& message) {
  std::vector<std::byte> bytes;
  pccl::wire::encode(bytes, term, message);
  return bytes;
}

}  // namespace e2e
