#include "api/scripted_peer_node.hpp"

#include <gtest/gtest.h>

namespace pccl_test {

Script& script() {
  static Script instance;
  return instance;
}

}  // namespace pccl_test

namespace pccl::node {

using pccl_test::script;

class PeerNode::Impl {
 public:
  bool connected = false;
};

PeerNode::PeerNode(PeerOptions) : impl_(std::make_unique<Impl>()) {}
PeerNode::~PeerNode() {
  EXPECT_TRUE(script().in_flight.empty()) << "left with ops that nobody awaited";
}

void PeerNode::interrupt() {}
void PeerNode::fall_out(const std::string&) {}
Outcome PeerNode::connect() {
  ++script().connects;
  impl_->connected = script().connect.ok();
  return script().connect;
}

bool PeerNode::connected() const {
  return impl_->connected;
}
Outcome PeerNode::update_topology() {
  return {};
}
Outcome PeerNode::optimize_topology() {
  return {};
}
Outcome PeerNode::are_peers_pending(bool& pending) {
  pending = false;
  return {};
}

Outcome PeerNode::may_go_on() const {
  return {};
}

Outcome PeerNode::launch(const ReduceRequest& request) {
  Outcome outcome = script().launch(request.tag);
  if (outcome.ok()) {
    EXPECT_TRUE(script().in_flight.insert(request.tag).second)
        << "launched twice: tag " << request.tag;
    script().launched.push_back(request.tag);
  }
  return outcome;
}

Outcome PeerNode::await(std::uint64_t tag, ReduceInfo& info) {
  EXPECT_EQ(script().in_flight.erase(tag), 1u) << "awaited without a launch: tag " << tag;
  Outcome outcome = script().await(tag);
  if (outcome.ok()) info = {script().world_size, script().bytes_per_op, script().bytes_per_op + 1};
  return outcome;
}

SyncProgress PeerNode::sync_progress() const {
  return {};
}
Attributes PeerNode::attributes() const {
  return {script().world_size, script().world_size, 1, script().world_size, 0};
}

}  // namespace pccl::node
