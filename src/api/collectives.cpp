#include <cstdint>
#include <string>
#include <utility>

#include "api/communicator.hpp"
#include "api/error_feedback.hpp"
#include "api/reduce_request.hpp"
#include "api/road.hpp"

namespace pccl::api {

namespace {

std::string op_name(std::uint64_t tag) {
  return "tag " + std::to_string(tag) + ": ";
}

// Whatever is wrong, also that there is no memory left to look: an answer of all ranks of a host.
Answer check(const Road& road, const void* send, void* receive,
             const pcclReduceDescriptor_t* descriptor, const pcclErrorFeedback_t* feedback,
             device::Stream stream, node::ReduceRequest& request, FeedbackLease& lease) {
  return without_exceptions([&] {
    Answer wrong = check_reduce(send, receive, descriptor, stream, request);
    return wrong.ok() ? road.lease(feedback, request, lease) : wrong;
  });
}

Answer launch(const Road& road, const node::ReduceRequest& request) {
  const Outcome outcome = road.launch(request);
  Answer answer{road.launch_result(outcome.status), text_of(outcome)};
  if (!answer.ok()) answer.why.insert(0, op_name(request.tag));
  return answer;
}

Answer await(const Road& road, std::uint64_t tag, pcclReduceInfo_t* info_out) {
  node::ReduceInfo info;
  Answer answer = answer_of(await_result, road.await(tag, info));
  if (!answer.ok()) answer.why.insert(0, op_name(tag));
  if (answer.ok() && info_out != nullptr) *info_out = reduce_info(info);
  return answer;
}

pcclResult_t all_reduce(const char* call, const void* send, void* receive,
                        const pcclReduceDescriptor_t* descriptor,
                        const pcclErrorFeedback_t* feedback, const pcclComm_t* communicator,
                        pcclReduceInfo_t* info_out) {
  return with_communicator(call, communicator, [&](pcclComm_t& entered) {
    const Road road(entered);
    if (!road) return invalid_usage("not connected");
    node::ReduceRequest request;
    FeedbackLease lease;
    if (Answer wrong =
            check(road, send, receive, descriptor, feedback, entered.stream(), request, lease);
        !wrong.ok())
      return road.refuse(std::move(wrong));
    request.awaited_at_once = true;
    if (Answer refused = launch(road, request); !refused.ok()) return refused;
    return await(road, request.tag, info_out);
  });
}

pcclResult_t all_reduce_async(const char* call, const void* send, void* receive,
                              const pcclReduceDescriptor_t* descriptor,
                              const pcclErrorFeedback_t* feedback, const pcclComm_t* communicator,
                              pcclAsyncReduceOp_t* handle_out) {
  return with_communicator(call, communicator, [&](pcclComm_t& entered) {
    node::ReduceRequest request;
    FeedbackLease lease;
    const Road road(entered);
    Answer wrong =
        handle_out == nullptr ? invalid_argument("reduce_handle_out is NULL") : success();
    if (!road) return wrong.ok() ? invalid_usage("not connected") : wrong;
    if (wrong.ok())
      wrong = check(road, send, receive, descriptor, feedback, entered.stream(), request, lease);
    if (!wrong.ok()) return road.refuse(std::move(wrong));
    if (Answer refused = launch(road, request); !refused.ok()) return refused;
    entered.launched(request.tag, std::move(lease));
    *handle_out = {&entered, request.tag};
    return success();
  });
}

}  // namespace

}  // namespace pccl::api

using namespace pccl::api;

pcclResult_t pcclAllReduce(const void* sendbuff, void* recvbuff,
                           const pcclReduceDescriptor_t* descriptor, const pcclComm_t* communicator,
                           pcclReduceInfo_t* reduce_info_out) {
  return all_reduce("pcclAllReduce", sendbuff, recvbuff, descriptor, nullptr, communicator,
                    reduce_info_out);
}

pcclResult_t pcclAllReduceWithFeedback(const void* sendbuff, void* recvbuff,
                                       const pcclReduceDescriptor_t* descriptor,
                                       pcclErrorFeedback_t* feedback,
                                       const pcclComm_t* communicator,
                                       pcclReduceInfo_t* reduce_info_out) {
  return all_reduce("pcclAllReduceWithFeedback", sendbuff, recvbuff, descriptor, feedback,
                    communicator, reduce_info_out);
}

pcclResult_t pcclAllReduceAsync(const void* sendbuff, void* recvbuff,
                                const pcclReduceDescriptor_t* descriptor,
                                const pcclComm_t* communicator,
                                pcclAsyncReduceOp_t* reduce_handle_out) {
  return all_reduce_async("pcclAllReduceAsync", sendbuff, recvbuff, descriptor, nullptr,
                          communicator, reduce_handle_out);
}

pcclResult_t pcclAllReduceWithFeedbackAsync(const void* sendbuff, void* recvbuff,
                                            const pcclReduceDescriptor_t* descriptor,
                                            pcclErrorFeedback_t* feedback,
                                            const pcclComm_t* communicator,
                                            pcclAsyncReduceOp_t* reduce_handle_out) {
  return all_reduce_async("pcclAllReduceWithFeedbackAsync", sendbuff, recvbuff, descriptor,
                          feedback, communicator, reduce_handle_out);
}

pcclResult_t pcclAwaitAsyncReduce(const pcclAsyncReduceOp_t* reduce_handle,
                                  pcclReduceInfo_t* reduce_info_out) {
  if (!initialized()) return pcclNotInitialized;
  if (reduce_handle == nullptr) return pcclInvalidArgument;
  const pcclAsyncReduceOp_t handle = *reduce_handle;
  return with_communicator("pcclAwaitAsyncReduce", handle.comm, [&](pcclComm_t& entered) {
    const Road road(entered);
    if (!road) return invalid_usage("not connected");
    // First, since the tag is free for another op as soon as this one has ended.
    const FeedbackLease lease = entered.awaits(handle.tag);
    return await(road, handle.tag, reduce_info_out);
  });
}
