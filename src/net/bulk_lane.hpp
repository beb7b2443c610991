// One lane of a link: bulk frames over one connection, both directions at once. It moves bytes in
// straight lines: ask the client for a frame, write until the kernel has it; read a header, ask
// where its payload goes, read until it is whole. All methods and callbacks run while the loop is
// held.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "net/lane_client.hpp"
#include "net/stream.hpp"

namespace pccl::net {

class BulkLane {
 public:
  // `on_progress` runs after frames have arrived or been sent: something may have become ready to
  // send elsewhere. `on_failed` runs once, when the connection ends or the other side breaks the
  // protocol; either may destroy the lane.
  struct Callbacks {
    std::function<void()> on_progress;
    std::function<void(const std::string& why)> on_failed;
  };

  BulkLane(Stream stream, std::vector<std::byte> already_read, LaneClient& client,
           Callbacks callbacks);
  ~BulkLane();

  void start();
  void kick();  // the client may have frames to send
  void ping();  // an answer counts as life, like anything else that arrives
  // How long a ping has been waiting for any sign of life; zero when none is.
  Duration unanswered(Instant now) const;
  bool has_heard() const;  // anything at all since it was opened
  Received received() const;
  void grant_fresh_deadline(Instant now);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace pccl::net
