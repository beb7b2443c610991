#include "node/master_connection.hpp"

#include <utility>
#include <variant>

#include "base/limits.hpp"

namespace pccl::node {

MasterConnection::MasterConnection(net::Loop& loop, const Endpoint& master,
                                   Duration unacknowledged_limit, Callbacks callbacks)
    : loop_(loop),
      master_(master),
      unacknowledged_limit_(unacknowledged_limit),
      callbacks_(std::move(callbacks)),
      pause_(loop) {}

void MasterConnection::dial(Duration deadline) {
  dialer_ = std::make_unique<net::Dialer>(
      loop_, master_, deadline, [this](net::FileDescriptor socket, const std::string& why) {
        connected(std::move(socket), why);
      });
}

void MasterConnection::dial_after(Duration pause, Duration deadline) {
  channel_.reset();
  dialer_.reset();
  pause_.set(net::Loop::now() + pause, [this, deadline] { dial(deadline); });
}

void MasterConnection::connected(net::FileDescriptor socket, const std::string& why) {
  if (!socket) return callbacks_.on_gone(why);
  net::Stream stream(loop_, std::move(socket), master_);
  stream.limit_unacknowledged(unacknowledged_limit_);
  channel_ = std::make_unique<net::ControlChannel>(std::move(stream), limits::control_frame_bytes);
  channel_->batch_sends();
  channel_->start([this](wire::Frame frame) { callbacks_.on_frame(std::move(frame)); },
                  [this](const std::string& reason) { callbacks_.on_gone(reason); });
  callbacks_.on_reached();
}

// Nobody waits to hear that an op has begun which the members carry out among themselves: most
// often that goes with the news that it is done.
void MasterConnection::send(Term term, const wire::Message& message) {
  if (!channel_) return;
  const auto* const begin = std::get_if<wire::OpBegin>(&message);
  if (begin != nullptr && begin->descriptor.algorithm != Algorithm::star)
    channel_->send_at_leisure(term, message);
  else
    channel_->send(term, message);
}

void MasterConnection::close_after_sending() {
  pause_.cancel();
  dialer_.reset();
  if (channel_) channel_->close_after_sending();
}

}  // namespace pccl::node
