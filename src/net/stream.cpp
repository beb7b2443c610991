#include "net/stream.hpp"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "net/loop_asio.hpp"

namespace pccl::net {

namespace {

constexpr auto long_path = std::chrono::milliseconds(5);

Duration round_trip_of(int socket) {
  tcp_info info{};
  socklen_t length = sizeof info;
  if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return Duration{0};
  return std::chrono::microseconds(info.tcpi_rtt);
}

void choose_congestion_control(int socket, std::string_view name) {
  setsockopt(socket, IPPROTO_TCP, TCP_CONGESTION, name.data(), static_cast<socklen_t>(name.size()));
}

}  // namespace

// Asio only waits; it does not own the descriptor.
struct Stream::State {
  State(Loop& owner, FileDescriptor fd, Endpoint address)
      : loop(owner),
        socket(std::move(fd)),
        remote(address),
        waiter(owner.asio().context, socket.get()) {}
  ~State() { close(); }
  void close() {
    if (!socket) return;
    asio::error_code ignored;
    waiter.cancel(ignored);
    waiter.release();
    socket.close();
    on_readable = nullptr;
    on_writable = nullptr;
  }

  Loop& loop;
  FileDescriptor socket;
  Endpoint remote;
  asio::posix::stream_descriptor waiter;
  std::function<void()> on_readable, on_writable;
};

Stream::Stream(Loop& loop, FileDescriptor socket, Endpoint remote)
    : state_(std::make_shared<State>(loop, std::move(socket), remote)) {
  tune(state_->socket.get(), remote);
}

Stream::~Stream() {
  close();
}
Stream::Stream(Stream&&) noexcept = default;

Stream& Stream::operator=(Stream&& other) noexcept {
  if (this != &other) {
    close();
    state_ = std::move(other.state_);
  }
  return *this;
}

const Endpoint& Stream::remote() const {
  return state_->remote;
}
Duration Stream::round_trip() const {
  return open() ? round_trip_of(state_->socket.get()) : Duration{0};
}
bool Stream::open() const {
  return state_ && state_->socket;
}

void Stream::close() {
  if (state_) state_->close();
}

void Stream::finish_sending() {
  if (open()) ::shutdown(state_->socket.get(), SHUT_WR);
}

void Stream::limit_unacknowledged(Duration limit) {
  const auto milliseconds =
      static_cast<unsigned>(std::chrono::duration_cast<std::chrono::milliseconds>(limit).count());
  if (open())
    setsockopt(state_->socket.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, &milliseconds,
               sizeof milliseconds);
}

void Stream::close_with_reset() {
  if (!open()) return;
  const linger reset{1, 0};
  setsockopt(state_->socket.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  close();
}

namespace {

Transfer outcome_of(ssize_t moved) {
  if (moved > 0) return {Transfer::State::moved, static_cast<std::size_t>(moved), {}};
  if (moved == 0) return {Transfer::State::closed, 0, "closed by the other side"};
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return {};
  return {Transfer::State::closed, 0, std::strerror(errno)};
}

}  // namespace

Transfer Stream::read(std::span<std::byte> first, std::span<std::byte> second) {
  if (!open()) return {Transfer::State::closed, 0, "closed"};
  std::array<iovec, 2> parts{iovec{first.data(), first.size()},
                             iovec{second.data(), second.size()}};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = second.empty() ? 1 : 2;
  return outcome_of(::recvmsg(state_->socket.get(), &message, 0));
}

Transfer Stream::write(std::span<const std::byte> first, std::span<const std::byte> second) {
  if (!open()) return {Transfer::State::closed, 0, "closed"};
  if (first.empty() && second.empty()) return {Transfer::State::moved, 0, {}};
  std::array<iovec, 2> parts{iovec{const_cast<std::byte*>(first.data()), first.size()},
                             iovec{const_cast<std::byte*>(second.data()), second.size()}};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = second.empty() ? 1 : 2;
  return outcome_of(::sendmsg(state_->socket.get(), &message, MSG_NOSIGNAL));
}

void Stream::when_readable(std::function<void()> callback) {
  if (!open()) return;
  state_->on_readable = std::move(callback);
  state_->waiter.async_wait(asio::posix::stream_descriptor::wait_read,
                            [weak = std::weak_ptr(state_)](const asio::error_code& error) {
                              const auto state = weak.lock();
                              if (error || !state) return;
                              const Loop::Hold hold(state->loop);
                              if (const auto ready = std::exchange(state->on_readable, nullptr))
                                ready();
                            });
}

void Stream::when_writable(std::function<void()> callback) {
  if (!open()) return;
  state_->on_writable = std::move(callback);
  state_->waiter.async_wait(asio::posix::stream_descriptor::wait_write,
                            [weak = std::weak_ptr(state_)](const asio::error_code& error) {
                              const auto state = weak.lock();
                              if (error || !state) return;
                              const Loop::Hold hold(state->loop);
                              if (const auto ready = std::exchange(state->on_writable, nullptr))
                                ready();
                            });
}

void tune(int socket, const Endpoint& remote) {
  const int on = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  // A pacing default (bbr) halves what loopback can do; cubic takes every lost packet for
  // congestion, and needs the longer to recover the longer the path is. What this machine does not
  // let a process have leaves the default.
  if (remote.address.is_loopback())
    choose_congestion_control(socket, "cubic");
  else if (round_trip_of(socket) >= long_path)
    choose_congestion_control(socket, "bbr");
}

}  // namespace pccl::net
