// What a request needs of GPUs before it is the loop's. On the caller's thread, which may wait for
// a GPU; the loop never does.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/status.hpp"
#include "device/workspace.hpp"
#include "node/peer_requests.hpp"

namespace pccl::node {

// Blocks until the application's work has come to the call, where the host reads the memory or the
// state is hashed. Interrupted: `give_up`, which is asked now and then, has said so.
Outcome wait_for_input(const ReduceRequest& request, const std::function<bool()>& give_up);
Outcome wait_for_input(const SyncRequest& request, const std::function<bool()>& give_up);

// The request's own where it has one; null where the memory is not a GPU's.
Outcome make_workspace(const ReduceRequest& request, std::shared_ptr<device::Workspace>& workspace);

// Which of the request's GPUs can do nothing any more, and why; empty: none.
std::string failed_gpu(const ReduceRequest& request);
std::string failed_gpu(const SyncRequest& request);

}  // namespace pccl::node
