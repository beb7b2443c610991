// A peer's connection to its master: dialled once by pcclConnect, and again whenever the machine
// asks for it. At most one at a time: what still comes over a former one is nobody's. Runs while
// the loop is held.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/endpoint.hpp"
#include "base/time.hpp"
#include "net/control_channel.hpp"
#include "net/dialer.hpp"
#include "net/loop.hpp"
#include "wire/framing.hpp"

namespace pccl::node {

class MasterConnection {
 public:
  struct Callbacks {
    std::function<void()> on_reached;
    std::function<void(wire::Frame)> on_frame;
    std::function<void(const std::string& why)> on_gone;  // or not reached
  };

  // `unacknowledged_limit`: the connection ends when bytes wait so long for the acknowledgement of
  // the master's kernel. A host that is gone does not answer; a master that hangs has a kernel that
  // does.
  MasterConnection(net::Loop& loop, const Endpoint& master, Duration unacknowledged_limit,
                   Callbacks callbacks);

  void dial(Duration deadline);
  void dial_after(Duration pause, Duration deadline);  // and drops the connection there is
  void send(Term term, const wire::Message& message);
  void close_after_sending();

 private:
  void connected(net::FileDescriptor socket, const std::string& why);

  net::Loop& loop_;
  Endpoint master_;
  Duration unacknowledged_limit_;
  Callbacks callbacks_;
  net::Loop::Timer pause_;
  std::unique_ptr<net::Dialer> dialer_;
  std::unique_ptr<net::ControlChannel> channel_;
};

}  // namespace pccl::node
