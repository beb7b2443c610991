// The application that every simulated peer runs: the training loop of contract.md section 3, with
// the bugs that a storm injects into it.
#pragma once

#include "sim/peer.hpp"

namespace pccl::sim {

// Connects, then for ever: ask for newcomers and take them in (not in a newcomer's first
// iteration), agree on the step with the group, run the step's all-reduces until each has
// succeeded. Ends when the peer is out of the run.
Task<void> train(SimPeer& peer);

// Connects, or gives up at once; then idles.
Task<void> connect_only(SimPeer& peer);

// The parts of it, for other scripts.
Task<bool> connect_patiently(SimPeer& peer);
Task<bool> take_in_newcomers(SimPeer& peer);  // false: out of the run
Task<bool> optimise_topology(SimPeer& peer);  // false: out of the run
// Launches all, awaits all, and again those that failed. False: out of the run.
Task<bool> reduce_until_done(SimPeer& peer, std::vector<OpSpec> ops);
// The step's ops on the shared state; at some steps a failed one leads back to the sync, and all of
// them are run again. False: out of the run.
Task<bool> synchronise_and_reduce(SimPeer& peer);
std::vector<OpSpec> ops_of_step(const SimPeer& peer, std::uint32_t step);

}  // namespace pccl::sim
