// How ops and syncs of a peer end.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "base/status.hpp"
#include "collective/device_star.hpp"
#include "collective/ring_op.hpp"
#include "device/workspace.hpp"

namespace pccl::node {

// The ring (null for a star) holds the copies that an in-place buffer needs after a failure: the
// caller of the op rolls back, then forgets (PeerCore::roll_back_done), before the op's buffers are
// the application's again.
struct EndedOp {
  Outcome outcome;
  std::uint32_t world_size = 0;
  std::uint64_t tx_bytes = 0, rx_bytes = 0;
  std::shared_ptr<collective::RingOp> ring;
  // Of an op on a GPU. The last who has the workspace may have to wait for the GPU: not the loop.
  std::shared_ptr<collective::DeviceStar> star;
  std::shared_ptr<device::Workspace> workspace;

  // Of a failed op; blocks until a GPU is done with it.
  void roll_back() const {
    if (ring) ring->roll_back();
    if (star) star->wait();
  }
};

struct EndedSync {
  Outcome outcome;
  Revision revision;  // of success
  std::uint64_t tx_bytes = 0, rx_bytes = 0;
  bool half_way = false;                // some of the state is as it was, some as elected; and
  std::vector<std::string> incomplete;  // entries that are neither
};

}  // namespace pccl::node
