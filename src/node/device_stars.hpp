// Small ops in memory of GPUs that travel through the master: each is launched once its input has
// come to the host, and has ended once its result is back on the GPU. One thread at a time.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.hpp"
#include "collective/device_star.hpp"
#include "membership/peer_events.hpp"
#include "node/ended.hpp"

namespace pccl::node {

using membership::OpHandle;

class DeviceStars {
 public:
  using Ended = std::pair<OpHandle, EndedOp>;
  struct Progress {
    std::vector<membership::LaunchRequested> launches;  // for the machine, now
    std::vector<Ended> ended;
  };
  struct Failure {
    std::string why;  // a GPU that can do nothing any more; empty: none
    std::vector<Ended> ended;
  };

  // `seen`: the epoch that the caller has seen at the launch.
  void hold_back(membership::LaunchRequested launch, std::unique_ptr<collective::DeviceStar> star,
                 std::shared_ptr<device::Workspace> workspace, Epoch seen);
  std::size_t held_back() const;  // how many of them the machine has not heard of

  // After news of GPUs. A launch under another epoch than that which the caller has seen since
  // would be news to it: such ops end.
  Progress go_on(Epoch seen);
  // The machine says how one has ended. Nothing: its result is written first, or it is none of
  // these.
  std::optional<Ended> end(const membership::CompleteOp& complete);
  bool contains(OpHandle handle) const { return stars_.contains(handle); }
  std::vector<Ended> end_held_back(const Outcome& outcome);
  Failure check();  // asks the GPUs

 private:
  struct Star {
    std::shared_ptr<collective::DeviceStar> data;
    std::shared_ptr<device::Workspace> workspace;
    std::optional<membership::LaunchRequested> launch;  // until the input is here
    Epoch seen;
    std::optional<EndedOp> end;  // until the result is written
  };
  Ended take(OpHandle handle, EndedOp ended);

  std::map<OpHandle, Star> stars_;
};

}  // namespace pccl::node
