// A listening socket, TCP or local to this machine. Callbacks run while the loop is held.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/endpoint.hpp"
#include "base/status.hpp"
#include "net/file_descriptor.hpp"
#include "net/loop.hpp"

namespace pccl::net {

class Listener {
 public:
  using Accepted = std::function<void(FileDescriptor socket, Endpoint remote)>;

  explicit Listener(Loop& loop) : loop_(loop) {}
  ~Listener() { close(); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // Binds exactly `at` (port 0: any free one). A socket of a run that just ended does not keep the
  // port busy.
  Outcome listen(const Endpoint& at, Accepted accepted);
  // The first free port at or above `at`'s, within a few hundred.
  Outcome listen_at_or_above(Endpoint at, const Accepted& accepted);
  // Where processes of this network namespace find who listens at a TCP port of it. Everybody who
  // comes has the loopback address.
  Outcome listen_beside(std::uint16_t port, Accepted accepted);
  void close();

  const Endpoint& local() const { return local_; }

 private:
  struct State;
  void begin(FileDescriptor socket, Accepted accepted);
  Loop& loop_;
  Endpoint local_;
  std::shared_ptr<State> state_;
};

}  // namespace pccl::net
