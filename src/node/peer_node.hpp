// One peer of a run: what stands behind a communicator. Methods block the calling thread where the
// public header says so; they keep the thread rules of the public header.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/status.hpp"
#include "node/peer_requests.hpp"

namespace pccl::node {

class PeerNode {
 public:
  explicit PeerNode(PeerOptions options);
  ~PeerNode();  // leaves the run; a call blocked in another thread returns Status::interrupted
                // first
  PeerNode(const PeerNode&) = delete;
  PeerNode& operator=(const PeerNode&) = delete;

  // Every call that is inside, and every later one, returns Status::interrupted or what had
  // happened before; any thread. The destructor does this, too.
  void interrupt();
  // The same for a peer that cannot go on: the others of its cohort, which may wait for it outside
  // of this library, are removed from the run as well.
  void fall_out(const std::string& why);

  Outcome may_go_on() const;  // interrupted, and why, after either of these; any thread

  Outcome connect();
  bool connected() const;  // accepted, and not removed since; any thread
  Outcome update_topology();
  Outcome are_peers_pending(bool& pending);
  Outcome optimize_topology();

  // Copies the request; its buffers stay in use until await has returned. Fails at once only with
  // invalid_argument (tag in flight), invalid_usage (not connected, too many ops), too_few_peers or
  // internal (the GPU refuses). Blocks until the application's stream has come here if the memory
  // is managed.
  Outcome launch(const ReduceRequest& request);
  Outcome await(std::uint64_t tag, ReduceInfo& info);  // unknown tag: peer_lost

  // `info` is filled by success.
  Outcome synchronize(SyncRequest request, SyncInfo& info);

  SyncProgress sync_progress() const;  // as of a tenth of a second ago; any thread

  Attributes attributes() const;  // any thread

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pccl::node
