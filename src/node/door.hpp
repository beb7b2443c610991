// A port where other peers introduce themselves: takes connections in, hears one greeting from each
// within a deadline, and leaves the judgement to its owner. Runs while the loop is held.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "net/control_channel.hpp"
#include "net/listener.hpp"
#include "wire/framing.hpp"

namespace pccl::node {

class Door {
 public:
  using VisitorId = std::uint64_t;
  // Answers a greeting with admit() or refuse(); or with neither: then the visitor waits for
  // ask_again(), as long as the deadline allows.
  using Judge = std::function<void(VisitorId, const wire::Message& greeting)>;

  Door(net::Loop& loop, Judge judge) : loop_(loop), judge_(std::move(judge)) {}

  Outcome listen(bool v6, std::uint16_t port);  // on all interfaces, at the first free port from it
  // Here, too, for processes of this machine; what they are admitted to goes through shared memory.
  Outcome listen_beside_port();
  std::uint16_t port() const { return listener_.local().port; }

  // Sends the welcome. The stream, and what came with the greeting.
  std::pair<net::Stream, std::vector<std::byte>> admit(VisitorId id);
  void refuse(VisitorId id, const std::string& why);
  void ask_again();
  void close_overdue(Instant now);

 private:
  struct Visitor {
    std::unique_ptr<net::ControlChannel> channel;
    Instant deadline;
    std::optional<wire::Message> greeting;
  };

  void visit(net::FileDescriptor socket, Endpoint remote);
  void hear(VisitorId id, const wire::Frame& frame);

  net::Loop& loop_;
  Judge judge_;
  net::Listener listener_{loop_}, local_listener_{loop_};
  std::map<VisitorId, Visitor> visitors_;
  VisitorId next_visitor_ = 1;
};

}  // namespace pccl::node
