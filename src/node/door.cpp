#include "node/door.hpp"

#include <algorithm>

#include "base/limits.hpp"
#include "base/log.hpp"

namespace pccl::node {

namespace {

// A peer may open all its lanes at once, and several peers may share an address. A flood from one
// pushes out its own oldest.
constexpr std::ptrdiff_t most_of_one_address = 2 * limits::lanes_per_link;

}  // namespace

Outcome Door::listen(bool v6, std::uint16_t port) {
  Endpoint any;
  any.address.v6 = v6;
  any.port = port;
  return listener_.listen_at_or_above(any, [this](net::FileDescriptor socket, Endpoint remote) {
    visit(std::move(socket), remote);
  });
}

Outcome Door::listen_beside_port() {
  return local_listener_.listen_beside(port(), [this](net::FileDescriptor socket, Endpoint remote) {
    visit(std::move(socket), remote);
  });
}

void Door::visit(net::FileDescriptor socket, Endpoint remote) {
  const auto is_from_there = [&](const auto& visitor) {
    return visitor.second.channel->remote().address == remote.address;
  };
  if (visitors_.size() >= limits::unintroduced_in_total)
    refuse(visitors_.begin()->first, "too many connections at the door");
  else if (std::count_if(visitors_.begin(), visitors_.end(), is_from_there) >= most_of_one_address)
    refuse(std::find_if(visitors_.begin(), visitors_.end(), is_from_there)->first,
           "too many connections from your address at the door");
  const VisitorId id = next_visitor_++;
  Visitor& visitor = visitors_[id];
  visitor.deadline = net::Loop::now() + limits::handshake_deadline;
  visitor.channel = std::make_unique<net::ControlChannel>(
      net::Stream(loop_, std::move(socket), remote), limits::greeting_frame_bytes);
  visitor.channel->start([this, id](const wire::Frame& frame) { hear(id, frame); },
                         [this, id](const std::string&) { visitors_.erase(id); });
}

void Door::hear(VisitorId id, const wire::Frame& frame) {
  Visitor& visitor = visitors_.at(id);
  if (visitor.greeting)
    return refuse(id, "protocol error: a second message before the first was answered");
  visitor.greeting = frame.message;
  judge_(id, frame.message);
}

void Door::ask_again() {
  std::vector<std::pair<VisitorId, wire::Message>> waiting;
  for (const auto& [id, visitor] : visitors_)
    if (visitor.greeting) waiting.emplace_back(id, *visitor.greeting);
  for (const auto& [id, greeting] : waiting)
    if (visitors_.contains(id)) judge_(id, greeting);
}

std::pair<net::Stream, std::vector<std::byte>> Door::admit(VisitorId id) {
  const auto channel = std::move(visitors_.at(id).channel);
  visitors_.erase(id);
  const bool offered = channel->offer_memory();
  channel->send(Term{}, wire::LaneWelcome{});
  auto admitted = channel->release();
  if (offered && admitted.first.turn_to_memory()) admitted.second.clear();
  return admitted;
}

void Door::refuse(VisitorId id, const std::string& why) {
  const auto found = visitors_.find(id);
  if (found == visitors_.end()) return;
  log()->debug("refuses a connection from {}: {}", to_string(found->second.channel->remote()), why);
  found->second.channel->send(Term{}, wire::Refused{why});
  found->second.channel->close_after_sending();
  visitors_.erase(found);
}

void Door::close_overdue(Instant now) {
  std::vector<VisitorId> overdue;
  for (const auto& [id, visitor] : visitors_)
    if (now > visitor.deadline) overdue.push_back(id);
  for (const VisitorId id : overdue)
    refuse(id, "no greeting in time, or one that nothing here ever explained");
}

}  // namespace pccl::node
