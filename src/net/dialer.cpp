#include "net/dialer.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <asio/posix/stream_descriptor.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <cerrno>
#include <cstring>
#include <utility>

#include "net/loop_asio.hpp"
#include "net/socket_address.hpp"

namespace pccl::net {

bool connected_to_itself(int socket) {
  sockaddr_storage here{}, there{};
  socklen_t here_length = sizeof here, there_length = sizeof there;
  return getsockname(socket, reinterpret_cast<sockaddr*>(&here), &here_length) == 0 &&
         getpeername(socket, reinterpret_cast<sockaddr*>(&there), &there_length) == 0 &&
         here.ss_family != AF_UNIX && here_length == there_length &&
         std::memcmp(&here, &there, here_length) == 0;
}

struct Dialer::State : std::enable_shared_from_this<State> {
  State(Loop& owner, const Endpoint& address, Dialled callback)
      : loop(owner),
        remote(address),
        dialled(std::move(callback)),
        waiter(owner.asio().context),
        timer(owner.asio().context) {}

  void start(Duration deadline, Way chosen) {
    way = chosen;
    SocketAddress address =
        way == Way::local ? SocketAddress::beside(remote.port) : SocketAddress(remote);
    socket =
        FileDescriptor(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const bool refused = !socket || (::connect(socket.get(), address.get(), address.length) != 0 &&
                                     errno != EINPROGRESS);
    if (refused) {
      // Later, so that the caller's state is never changed under its feet.
      asio::post(
          loop.asio().context,
          guarded([why = std::string(std::strerror(errno))](State& state) { state.end(why); }));
      return;
    }
    waiter.assign(socket.get());
    waiter.async_wait(asio::posix::stream_descriptor::wait_write,
                      [run = guarded([](State& state) { state.end(state.error()); })](
                          const asio::error_code& error) {
                        if (!error) run();
                      });
    timer.expires_after(deadline);
    timer.async_wait([run = guarded([deadline](State& state) {
                        state.end(fmt::format("no answer within {:.1f} s", seconds(deadline)));
                      })](const asio::error_code& error) {
      if (!error) run();
    });
  }

  template <typename Task>
  std::function<void()> guarded(Task task) {
    return [weak = weak_from_this(), task = std::move(task)] {
      const auto state = weak.lock();
      if (!state) return;
      const Loop::Hold hold(state->loop);
      if (state->dialled) task(*state);
    };
  }

  std::string error() const {
    int code = 0;
    socklen_t length = sizeof code;
    getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &code, &length);
    if (code == 0 && connected_to_itself(socket.get())) {
      // With a reset: else the port would be taken for a minute, and whoever is dialled could not
      // listen.
      const linger reset{1, 0};
      setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
      code = ECONNREFUSED;
    }
    if (code != 0) return std::strerror(code);
    return way == Way::local && !is_of_the_same_user() ? "it belongs to another user" : "";
  }

  // Anybody may listen beside a port that nobody listens beside yet.
  bool is_of_the_same_user() const {
    ucred other{};
    socklen_t length = sizeof other;
    return getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &other, &length) == 0 &&
           other.uid == geteuid();
  }

  void end(const std::string& why) {
    detach();
    const Dialled callback = std::exchange(dialled, nullptr);
    if (!why.empty()) socket.close();
    callback(std::move(socket),
             why.empty() ? why : fmt::format("cannot connect to {}: {}", to_string(remote), why));
  }

  void detach() {
    if (waiter.is_open()) {
      asio::error_code ignored;
      waiter.cancel(ignored);
      waiter.release();
    }
    timer.cancel();
  }

  Loop& loop;
  Endpoint remote;
  Way way = Way::tcp;
  Dialled dialled;
  FileDescriptor socket;
  asio::posix::stream_descriptor waiter;
  asio::steady_timer timer;
};

Dialer::Dialer(Loop& loop, const Endpoint& remote, Duration deadline, Dialled dialled, Way way)
    : state_(std::make_shared<State>(loop, remote, std::move(dialled))) {
  state_->start(deadline, way);
}

Dialer::~Dialer() {
  state_->dialled = nullptr;
  state_->detach();
}

}  // namespace pccl::net
