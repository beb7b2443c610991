#include "api/answer.hpp"
#include "api/enums.hpp"
#include "base/printable.hpp"
#include "pccl.h"

namespace pccl::api {

namespace {

// The statuses that mean the same to every call; the others mean `otherwise`.
pcclResult_t common_result(Status status, pcclResult_t otherwise) {
  switch (status) {
    case Status::ok:
      return pcclSuccess;
    case Status::invalid_argument:
      return pcclInvalidArgument;
    case Status::invalid_usage:
      return pcclInvalidUsage;
    case Status::internal:
      return pcclInternalError;
    case Status::pending_ops:
      return pcclPendingAsyncOps;
    case Status::too_few_peers:
      return pcclTooFewPeers;
    case Status::peer_lost:
    case Status::removed:
    case Status::master_lost:
    case Status::timed_out:
    case Status::interrupted:
      return otherwise;
  }
  return pcclInternalError;
}

}  // namespace

pcclResult_t connect_result(Status status) {
  return common_result(status, pcclMasterConnectionFailed);
}

pcclResult_t update_topology_result(Status status) {
  return common_result(status, pcclUpdateTopologyFailed);
}

pcclResult_t optimize_topology_result(Status status) {
  return common_result(status, pcclTopologyOptimizationFailed);
}

pcclResult_t are_peers_pending_result(Status status) {
  if (status == Status::ok || status == Status::internal)
    return common_result(status, pcclInvalidUsage);
  return pcclInvalidUsage;
}

pcclResult_t synchronize_result(Status status) {
  return common_result(status, pcclInvalidUsage);
}

pcclResult_t launch_result(Status status) {
  // Launching is local: a launch fails for what the caller or the run is by now, and a lost peer is
  // found by the await. Were it found here, the caller should still see the code that says "call
  // again".
  if (status == Status::peer_lost) return pcclRankConnectionLost;
  return common_result(status, pcclInvalidUsage);
}

pcclResult_t await_result(Status status) {
  return common_result(status, pcclRankConnectionLost);
}

pcclResult_t master_result(Status status) {
  return common_result(status, pcclInvalidUsage);
}

std::string text_of(const Outcome& outcome) {
  if (outcome.ok()) return {};
  std::string text(name_of(outcome.status));
  if (!outcome.why.empty()) text.append(": ").append(outcome.why);
  return printable(text);
}

}  // namespace pccl::api

const char* pcclGetErrorString(pcclResult_t result) {
  switch (pccl::api::raw(result)) {
    case pcclSuccess:
      return "pcclSuccess: the call succeeded";
    case pcclNotInitialized:
      return "pcclNotInitialized: call pcclInit first";
    case pcclInternalError:
      return "pcclInternalError: a defect or a lack of resources inside the library";
    case pcclInvalidArgument:
      return "pcclInvalidArgument: an argument is NULL, out of range, in use, or differs from the "
             "other peers'";
    case pcclInvalidUsage:
      return "pcclInvalidUsage: the call does not fit the state of this object or of the run";
    case pcclTooFewPeers:
      return "pcclTooFewPeers: this peer is alone in its peer group";
    case pcclMasterConnectionFailed:
      return "pcclMasterConnectionFailed: the master cannot be reached or did not admit this peer";
    case pcclRankConnectionFailed:
      return "pcclRankConnectionFailed: no link to another peer could be made";
    case pcclRankConnectionLost:
      return "pcclRankConnectionLost: a peer was lost or the membership has changed; in-place "
             "buffers are "
             "restored, call again";
    case pcclNoSharedStateAvailable:
      return "pcclNoSharedStateAvailable: no peer of the group has the shared state";
    case pcclPendingAsyncOps:
      return "pcclPendingAsyncOps: an async all-reduce has not been awaited";
    case pcclUpdateTopologyFailed:
      return "pcclUpdateTopologyFailed: this peer was removed from the run, or the master is lost";
    case pcclTopologyOptimizationFailed:
      return "pcclTopologyOptimizationFailed: this peer was removed from the run, or the master is "
             "lost";
    default:
      return "unknown pcclResult_t";
  }
}
