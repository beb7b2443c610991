// A connected socket, TCP or local to this machine, that never blocks: reads and writes take what
// is there, and a callback tells when to try again. All methods and callbacks run while the loop is
// held; after close() no callback comes.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/endpoint.hpp"
#include "base/time.hpp"
#include "net/arrivals.hpp"
#include "net/file_descriptor.hpp"
#include "net/loop.hpp"

namespace pccl::net {

struct Transfer {
  enum class State { moved, would_block, closed } state = State::would_block;
  std::size_t bytes = 0;
  std::string why;  // when closed: the reason
};

class Stream {
 public:
  Stream(Loop& loop, FileDescriptor socket, Endpoint remote);
  ~Stream();
  Stream(Stream&&) noexcept;
  Stream& operator=(Stream&&) noexcept;

  Loop& loop() const;
  const Endpoint& remote() const;
  bool open() const;
  Duration round_trip() const;  // as the kernel sees it now; zero: not known
  Received received() const;
  void close();
  void finish_sending();  // the other side reads an end after what has been sent; reading goes on
  // Ends with an error when bytes have waited so long for the other kernel's acknowledgement.
  void limit_unacknowledged(Duration limit);
  void close_with_reset();  // the other side sees an error at once, unsent bytes are dropped

  Transfer read(std::span<std::byte> first, std::span<std::byte> second = {});
  Transfer write(std::span<const std::byte> first, std::span<const std::byte> second = {});

  // A local connection can pass its bytes through memory that both processes share; the socket then
  // only wakes the other side, and tells of its end. One side offers the memory, which travels with
  // the next bytes that it writes; after they have come each side turns to it, and nothing that it
  // reads from the socket counts any more. False: there is none, and all goes on as before.
  bool offer_memory();
  bool turn_to_memory();
  // Bytes that have come through it, where they lie: the other side may still change them. Empty:
  // there are none, or read() has to tell why. Then take some of them, instead of reading them.
  std::span<const std::byte> in_memory() const;
  Transfer take_in_memory(std::size_t count);

  // Once each, then set again. One waiting callback per direction.
  void when_readable(std::function<void()> callback);
  void when_writable(std::function<void()> callback);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// Options of every connection: no Nagle, the congestion control of PCCL_CONGESTION_CONTROL, and on
// long paths no more in the kernel than it is about to send.
void tune(int socket, const Endpoint& remote);

}  // namespace pccl::net
