#include "net/listener.hpp"

#include <fmt/format.h>
#include <sys/socket.h>

#include <asio/posix/stream_descriptor.hpp>
#include <asio/steady_timer.hpp>
#include <cerrno>
#include <cstring>

#include "base/log.hpp"
#include "net/loop_asio.hpp"
#include "net/socket_address.hpp"

namespace pccl::net {

namespace {

constexpr int ports_to_try = 512;
constexpr int backlog = 1024;
constexpr int accepts_per_wakeup = 64;
// When the process has no descriptor left, accepting would spin: it pauses.
constexpr auto pause_when_exhausted = std::chrono::milliseconds(100);

}  // namespace

struct Listener::State : std::enable_shared_from_this<State> {
  State(Loop& owner, FileDescriptor fd, Accepted callback)
      : loop(owner),
        socket(std::move(fd)),
        accepted(std::move(callback)),
        waiter(owner.asio().context, socket.get()),
        pause(owner.asio().context) {}

  void wait() {
    waiter.async_wait(asio::posix::stream_descriptor::wait_read,
                      [weak = weak_from_this()](const asio::error_code& error) {
                        const auto state = weak.lock();
                        if (error || !state) return;
                        const Loop::Hold hold(state->loop);
                        state->accept();
                      });
  }

  void accept() {
    for (int count = 0; socket && count < accepts_per_wakeup; ++count) {
      SocketAddress remote;
      const int fd =
          ::accept4(socket.get(), remote.get(), &remote.length, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (fd >= 0) {
        accepted(FileDescriptor(fd), remote.endpoint());
        continue;
      }
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        log()->warn("cannot accept a connection: {}", std::strerror(errno));
        pause.expires_after(pause_when_exhausted);
        pause.async_wait([weak = weak_from_this()](const asio::error_code& error) {
          const auto state = weak.lock();
          if (!error && state) state->wait();
        });
        return;
      }
      if (errno == EAGAIN || errno == EWOULDBLOCK) break;
    }
    if (socket) wait();
  }

  void close() {
    if (!socket) return;
    asio::error_code ignored;
    waiter.cancel(ignored);
    waiter.release();
    pause.cancel();
    socket.close();
  }

  Loop& loop;
  FileDescriptor socket;
  Accepted accepted;
  asio::posix::stream_descriptor waiter;
  asio::steady_timer pause;
};

Outcome Listener::listen(const Endpoint& at, Accepted accepted) {
  SocketAddress address(at);
  FileDescriptor socket(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const auto failed = [&] {
    return Outcome{Status::invalid_usage,
                   fmt::format("cannot listen on {}: {}", to_string(at), std::strerror(errno))};
  };
  if (!socket) return failed();
  const int on = 1;
  setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(socket.get(), address.get(), address.length) != 0 ||
      ::listen(socket.get(), backlog) != 0)
    return failed();
  SocketAddress bound;
  if (::getsockname(socket.get(), bound.get(), &bound.length) != 0) return failed();
  local_ = bound.endpoint();
  begin(std::move(socket), std::move(accepted));
  return {};
}

Outcome Listener::listen_beside(std::uint16_t port, Accepted accepted) {
  SocketAddress address = SocketAddress::beside(port);
  FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket || ::bind(socket.get(), address.get(), address.length) != 0 ||
      ::listen(socket.get(), backlog) != 0)
    return {Status::invalid_usage,
            fmt::format("cannot listen beside port {}: {}", port, std::strerror(errno))};
  begin(std::move(socket), std::move(accepted));
  return {};
}

void Listener::begin(FileDescriptor socket, Accepted accepted) {
  state_ = std::make_shared<State>(loop_, std::move(socket), std::move(accepted));
  state_->wait();
}

Outcome Listener::listen_at_or_above(Endpoint at, const Accepted& accepted) {
  Outcome outcome;
  for (int tried = 0; tried < ports_to_try && at.port != 0; ++tried, ++at.port) {
    outcome = listen(at, accepted);
    if (outcome.ok()) return outcome;
  }
  at.port = 0;
  return listen(at, accepted);
}

void Listener::close() {
  if (state_) state_->close();
  state_.reset();
}

}  // namespace pccl::net
