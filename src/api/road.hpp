// Which way the all-reduces of a communicator take: flat, across all peers of the group, or
// hierarchical, across the hosts, once a local communicator is attached.
#pragma once

#include <cstdint>
#include <memory>

#include "api/answer.hpp"
#include "api/error_feedback.hpp"
#include "hierarchical/all_reduce.hpp"
#include "node/peer_node.hpp"

struct pcclComm_t;

namespace pccl::api {

class Road {
 public:
  explicit Road(const pcclComm_t& communicator);

  explicit operator bool() const { return peer_ != nullptr; }  // connected
  bool over_hosts() const { return local_ != nullptr; }
  std::uint32_t group_world_size() const { return peer_->attributes().group_world_size; }

  // What is wrong with the arguments of a call, in place of its first launch: the ranks of a host
  // refuse it together.
  Answer refuse(Answer wrong) const;
  // Of a checked request; null is none.
  Answer lease(const pcclErrorFeedback_t* feedback, node::ReduceRequest& request,
               FeedbackLease& lease) const;
  Outcome launch(const node::ReduceRequest& request) const;
  Outcome await(std::uint64_t tag, node::ReduceInfo& info) const;
  // A launch across hosts also fails for what only an await finds out elsewhere.
  pcclResult_t launch_result(Status status) const;

 private:
  std::shared_ptr<node::PeerNode> peer_;
  std::shared_ptr<hierarchical::AllReduce> local_;
};

}  // namespace pccl::api
