// Opens a connection within a deadline. The callback comes once, holding the loop, and not after
// cancel().
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/endpoint.hpp"
#include "base/time.hpp"
#include "net/file_descriptor.hpp"
#include "net/loop.hpp"

namespace pccl::net {

class Dialer {
 public:
  // `socket` is empty when it failed, and `why` says how.
  using Dialled = std::function<void(FileDescriptor socket, std::string why)>;

  enum class Way : std::uint8_t {
    tcp,
    local  // to who listens beside the port on this machine, a process of the same user
  };
  Dialer(Loop& loop, const Endpoint& remote, Duration deadline, Dialled dialled,
         Way way = Way::tcp);
  ~Dialer();
  Dialer(const Dialer&) = delete;
  Dialer& operator=(const Dialer&) = delete;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// Who dials a port of this machine where nobody listens may be given that very port for its own end
// (it is one of those that the kernel gives away), and is then connected to itself.
bool connected_to_itself(int socket);

}  // namespace pccl::net
