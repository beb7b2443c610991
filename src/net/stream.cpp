#include "net/stream.hpp"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/post.hpp>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "base/environment.hpp"
#include "net/loop_asio.hpp"
#include "net/shared_memory.hpp"

namespace pccl::net {

namespace {

constexpr auto long_path = std::chrono::milliseconds(5);
constexpr int unsent_bytes = 128 << 10;

Duration round_trip_of(int socket) {
  tcp_info info{};
  socklen_t length = sizeof info;
  if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return Duration{0};
  return std::chrono::microseconds(info.tcpi_rtt);
}

bool is_local(int socket) {
  int domain = 0;
  socklen_t length = sizeof domain;
  return getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain == AF_UNIX;
}

// Room in a message for one descriptor that travels with its bytes.
class AttachedDescriptor {
 public:
  void put_into(msghdr& message) {
    message.msg_control = space_;
    message.msg_controllen = sizeof space_;
  }
  void put_into(msghdr& message, int descriptor) {
    put_into(message);
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof descriptor);
    std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
  }
  // The first of what came. The kernel has closed what did not fit, and the rest is closed here.
  static FileDescriptor taken_from(msghdr& message) {
    const cmsghdr* const header = CMSG_FIRSTHDR(&message);
    FileDescriptor first;
    if (header == nullptr || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
      return first;
    for (std::size_t at = CMSG_LEN(0); at + sizeof(int) <= header->cmsg_len; at += sizeof(int)) {
      int descriptor = -1;
      std::memcpy(&descriptor, reinterpret_cast<const char*>(header) + at, sizeof descriptor);
      FileDescriptor came(descriptor);
      if (!first) first = std::move(came);
    }
    return first;
  }

 private:
  alignas(cmsghdr) char space_[CMSG_SPACE(sizeof(int))] = {};
};

void choose_congestion_control(int socket, std::string_view name) {
  setsockopt(socket, IPPROTO_TCP, TCP_CONGESTION, name.data(), static_cast<socklen_t>(name.size()));
}

}  // namespace

// Asio only waits; it does not own the descriptor.
struct Stream::State : std::enable_shared_from_this<State> {
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

  // ---- through shared memory
  Transfer read_memory(std::span<std::byte> first, std::span<std::byte> second);
  Transfer write_memory(std::span<const std::byte> first, std::span<const std::byte> second);
  void ring_bell();
  void wait_for_bell();
  void hear_bells();
  void serve_who_waits();
  void serve_soon();

  Loop& loop;
  FileDescriptor socket;
  Endpoint remote;
  asio::posix::stream_descriptor waiter;
  std::function<void()> on_readable, on_writable;

  bool local = is_local(socket.get());
  FileDescriptor to_attach;  // goes with the next bytes
  FileDescriptor attached;   // came with some
  std::optional<SharedMemory> offered;
  std::optional<SharedMemory> memory;  // in use
  bool waiting_for_bell = false;
  bool ended = false;  // the other side, says the socket
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

Loop& Stream::loop() const {
  return state_->loop;
}
const Endpoint& Stream::remote() const {
  return state_->remote;
}
Duration Stream::round_trip() const {
  return open() ? round_trip_of(state_->socket.get()) : Duration{0};
}
Received Stream::received() const {
  return open() ? received_by(state_->socket.get()) : Received{};
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
  if (state_->memory) return state_->read_memory(first, second);
  std::array<iovec, 2> parts{iovec{first.data(), first.size()},
                             iovec{second.data(), second.size()}};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = second.empty() ? 1 : 2;
  if (!state_->local) return outcome_of(::recvmsg(state_->socket.get(), &message, 0));
  AttachedDescriptor space;
  space.put_into(message);
  const ssize_t read = ::recvmsg(state_->socket.get(), &message, MSG_CMSG_CLOEXEC);
  if (FileDescriptor came = AttachedDescriptor::taken_from(message))
    state_->attached = std::move(came);
  return outcome_of(read);
}

Transfer Stream::write(std::span<const std::byte> first, std::span<const std::byte> second) {
  if (!open()) return {Transfer::State::closed, 0, "closed"};
  if (first.empty() && second.empty()) return {Transfer::State::moved, 0, {}};
  if (state_->memory) return state_->write_memory(first, second);
  std::array<iovec, 2> parts{iovec{const_cast<std::byte*>(first.data()), first.size()},
                             iovec{const_cast<std::byte*>(second.data()), second.size()}};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = second.empty() ? 1 : 2;
  AttachedDescriptor space;
  if (state_->to_attach) space.put_into(message, state_->to_attach.get());
  const ssize_t written = ::sendmsg(state_->socket.get(), &message, MSG_NOSIGNAL);
  if (written > 0) state_->to_attach.close();
  return outcome_of(written);
}

void Stream::when_readable(std::function<void()> callback) {
  if (!open()) return;
  state_->on_readable = std::move(callback);
  if (state_->memory) {
    const bool ready = state_->memory->incoming().wait_for_bytes() || state_->ended;
    return ready ? state_->serve_soon() : state_->wait_for_bell();
  }
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
  if (state_->memory) {
    const bool ready = state_->memory->outgoing().wait_for_room() || state_->ended;
    return ready ? state_->serve_soon() : state_->wait_for_bell();
  }
  state_->waiter.async_wait(asio::posix::stream_descriptor::wait_write,
                            [weak = std::weak_ptr(state_)](const asio::error_code& error) {
                              const auto state = weak.lock();
                              if (error || !state) return;
                              const Loop::Hold hold(state->loop);
                              if (const auto ready = std::exchange(state->on_writable, nullptr))
                                ready();
                            });
}

// ---- through shared memory

bool Stream::offer_memory() {
  if (!open() || !state_->local) return false;
  auto fresh = SharedMemory::create();
  if (!fresh) return false;
  state_->offered = std::move(fresh->first);
  state_->to_attach = std::move(fresh->second);
  return true;
}

bool Stream::turn_to_memory() {
  if (!open()) return false;
  if (state_->offered && !state_->to_attach)
    state_->memory = std::exchange(state_->offered, std::nullopt);
  else if (state_->attached)
    state_->memory = SharedMemory::open(state_->attached);
  state_->attached.close();
  return state_->memory.has_value();
}

std::span<const std::byte> Stream::in_memory() const {
  if (!open() || !state_->memory) return {};
  return state_->memory->incoming().peek().value_or(std::span<const std::byte>{});
}

Transfer Stream::take_in_memory(std::size_t count) {
  state_->memory->incoming().skip(count);
  if (state_->memory->incoming().writer_waits()) state_->ring_bell();
  return {Transfer::State::moved, count, {}};
}

Transfer Stream::State::read_memory(std::span<std::byte> first, std::span<std::byte> second) {
  const auto read = memory->incoming().read(first, second);
  if (!read) return {Transfer::State::closed, 0, "it has broken the shared memory"};
  if (*read > 0) {
    if (memory->incoming().writer_waits()) ring_bell();
    return {Transfer::State::moved, *read, {}};
  }
  if (ended && !memory->incoming().has_bytes())
    return {Transfer::State::closed, 0, "closed by the other side"};
  return {};
}

Transfer Stream::State::write_memory(std::span<const std::byte> first,
                                     std::span<const std::byte> second) {
  const auto written = ended ? std::nullopt : memory->outgoing().write(first, second);
  if (!written) return {Transfer::State::closed, 0, "closed by the other side"};
  if (*written == 0) return {};
  if (memory->outgoing().reader_waits()) ring_bell();
  return {Transfer::State::moved, *written, {}};
}

// A full socket holds more bells than anybody needs.
void Stream::State::ring_bell() {
  const std::byte bell{};
  ::send(socket.get(), &bell, sizeof bell, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void Stream::State::wait_for_bell() {
  if (std::exchange(waiting_for_bell, true)) return;
  waiter.async_wait(asio::posix::stream_descriptor::wait_read,
                    [weak = weak_from_this()](const asio::error_code& error) {
                      const auto state = weak.lock();
                      if (error || !state) return;
                      const Loop::Hold hold(state->loop);
                      state->waiting_for_bell = false;
                      state->hear_bells();
                    });
}

void Stream::State::hear_bells() {
  std::array<std::byte, 256> bells;
  while (socket) {
    const ssize_t heard = ::recv(socket.get(), bells.data(), bells.size(), MSG_DONTWAIT);
    if (heard > 0) continue;
    ended = ended || heard == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
    break;
  }
  serve_who_waits();
}

void Stream::State::serve_who_waits() {
  if (!socket) return;
  std::function<void()> readable, writable;
  if (on_readable && (memory->incoming().wait_for_bytes() || ended))
    readable = std::exchange(on_readable, nullptr);
  if (on_writable && (memory->outgoing().wait_for_room() || ended))
    writable = std::exchange(on_writable, nullptr);
  if (on_readable || on_writable) wait_for_bell();
  if (readable) readable();
  if (writable && socket) writable();
}

void Stream::State::serve_soon() {
  asio::post(loop.asio().context, [weak = weak_from_this()] {
    const auto state = weak.lock();
    if (!state) return;
    const Loop::Hold hold(state->loop);
    state->serve_who_waits();
  });
}

void tune(int socket, const Endpoint& remote) {
  const int on = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  // Many connections of one application on one path: bbr takes its own queue for the path's end and
  // leaves some of them far behind (docs/decisions/0009-long-paths.md), and its pacing halves what
  // loopback can do. What this machine does not let a process have leaves the default.
  static const std::string wanted = congestion_control_from_environment();
  choose_congestion_control(socket, remote.address.is_loopback() ? "cubic" : wanted);
  if (round_trip_of(socket) < long_path) return;
  // What waits in the kernel waits for this connection alone: on one that is slow, for long.
  setsockopt(socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent_bytes, sizeof unsent_bytes);
}

}  // namespace pccl::net
