#include "api/road.hpp"

#include <string>
#include <utility>

#include "api/communicator.hpp"

namespace pccl::api {

namespace {

hierarchical::AcrossHosts across_hosts(node::PeerNode& peer) {
  return {
      .launch = [&peer](const node::ReduceRequest& shard) { return peer.launch(shard); },
      .await = [&peer](std::uint64_t tag, node::ReduceInfo& info) { return peer.await(tag, info); },
      .presence = {.in_run = [&peer] { return peer.connected(); },
                   .may_go_on = [&peer] { return peer.may_go_on(); },
                   .leave_run =
                       [&peer](const std::string& why) {
                         peer.fall_out("this peer has left the run, since " + why);
                       }}};
}

}  // namespace

Road::Road(const pcclComm_t& communicator)
    : peer_(communicator.accepted_node()), local_(communicator.local()) {}

Answer Road::refuse(Answer wrong) const {
  if (!over_hosts()) return wrong;
  const Status status =
      wrong.result == pcclInternalError ? Status::internal : Status::invalid_argument;
  return answer_of(await_result,
                   local_->launch(across_hosts(*peer_), {status, std::move(wrong.why)}, {}));
}

Answer Road::lease(const pcclErrorFeedback_t* feedback, node::ReduceRequest& request,
                   FeedbackLease& lease) const {
  if (over_hosts() && feedback != nullptr)
    return invalid_argument("error feedback does not go with a local communicator");
  return lease.take(feedback, request);
}

Outcome Road::launch(const node::ReduceRequest& request) const {
  return over_hosts() ? local_->launch(across_hosts(*peer_), {}, request) : peer_->launch(request);
}

Outcome Road::await(std::uint64_t tag, node::ReduceInfo& info) const {
  return over_hosts() ? local_->await(across_hosts(*peer_), tag, info) : peer_->await(tag, info);
}

pcclResult_t Road::launch_result(Status status) const {
  return over_hosts() ? await_result(status) : api::launch_result(status);
}

}  // namespace pccl::api
