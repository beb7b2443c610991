#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "api/communicator.hpp"
#include "api/enums.hpp"
#include "api/error_feedback.hpp"
#include "api/quantization.hpp"
#include "api/reduce_request.hpp"
#include "base/limits.hpp"
#include "device/runtime.hpp"

namespace pccl::api {

namespace {

using device::Place;

std::string text_of(const device::Location& location) {
  return location.place == Place::cuda ? "memory of GPU " + std::to_string(location.gpu)
                                       : "memory of the host";
}

// Where both buffers are. Where one is managed, the host's rules hold for both.
Answer locate(const void* send, const void* receive, std::size_t count, std::size_t element_bytes,
              node::OnGpu& on_gpu) {
  const device::Location from = device::location_of(send), to = device::location_of(receive);
  const bool gpu = from.place == Place::cuda || to.place == Place::cuda;
  if (gpu && !device::has_cuda_support())
    return invalid_argument("the " + std::string(from.place == Place::cuda ? "send" : "receive") +
                            " buffer is memory of a GPU; this build takes host memory only");
  if (gpu && from != to)
    return invalid_argument("the send buffer is " + text_of(from) + ", the receive buffer " +
                            text_of(to));
  for (const auto& [what, buffer] : {std::pair{"send", send}, {"receive", receive}}) {
    if (!gpu) break;
    const auto begin = reinterpret_cast<std::uintptr_t>(buffer);
    if (begin % element_bytes != 0)
      return invalid_argument("the " + std::string(what) +
                              " buffer is not aligned to its elements, as a GPU needs it");
    const void* const last = static_cast<const std::byte*>(buffer) + count * element_bytes - 1;
    if (device::location_of(last) != from)
      return invalid_argument("the " + std::string(what) + " buffer ends before its last element");
  }
  on_gpu.location = to.place == Place::managed ? to : from;
  return success();
}

}  // namespace

Answer check_reduce(const void* send, void* receive, const pcclReduceDescriptor_t* descriptor,
                    device::Stream stream, node::ReduceRequest& request) {
  if (descriptor == nullptr) return invalid_argument("the descriptor is NULL");
  const auto out_of_range = [](const char* what, unsigned value) {
    return invalid_argument(std::string("unknown ") + what + " " + std::to_string(value));
  };
  const unsigned type = raw(descriptor->src_descriptor.datatype);
  const unsigned op = raw(descriptor->op);
  const unsigned hint = raw(descriptor->src_descriptor.distribution_hint);
  if (type >= data_type_count) return out_of_range("datatype", type);
  if (op >= red_op_count) return out_of_range("reduce operation", op);
  if (hint > pcclDistributionUniform) return out_of_range("distribution hint", hint);
  if (Answer wrong =
          read_quantization(descriptor->quantization_options, static_cast<DataType>(type),
                            static_cast<RedOp>(op), request.quantization);
      !wrong.ok())
    return wrong;

  const std::size_t element_bytes = size_of(static_cast<DataType>(type));
  if (descriptor->count > limits::op_bytes / element_bytes)
    return invalid_argument("count " + std::to_string(descriptor->count) +
                            " is over the limit of " + std::to_string(limits::op_bytes >> 40) +
                            " TiB");
  if (descriptor->count > 0 && (send == nullptr || receive == nullptr))
    return invalid_argument(send == nullptr ? "the send buffer is NULL"
                                            : "the receive buffer is NULL");
  if (descriptor->count > 0)
    if (Answer wrong = locate(send, receive, descriptor->count, element_bytes, request.on_gpu);
        !wrong.ok())
      return wrong;
  request.on_gpu.stream = stream;

  request.send = send;
  request.receive = receive;
  request.count = descriptor->count;
  request.type = static_cast<DataType>(type);
  request.op = static_cast<RedOp>(op);
  request.tag = descriptor->tag;
  return success();
}

namespace {

std::string op_name(std::uint64_t tag) {
  return "tag " + std::to_string(tag) + ": ";
}

Answer launch(node::PeerNode& peer, const node::ReduceRequest& request) {
  Answer answer = answer_of(launch_result, peer.launch(request));
  if (!answer.ok()) answer.why.insert(0, op_name(request.tag));
  return answer;
}

Answer await(node::PeerNode& peer, std::uint64_t tag, pcclReduceInfo_t* info_out) {
  node::ReduceInfo info;
  Answer answer = answer_of(await_result, peer.await(tag, info));
  if (!answer.ok()) answer.why.insert(0, op_name(tag));
  if (answer.ok() && info_out != nullptr) *info_out = reduce_info(info);
  return answer;
}

// Whatever is wrong with the arguments, the ranks of this host hear of it together.
Answer launch_hierarchical(HierarchicalAllReduce& local, node::PeerNode& peer, Answer checked,
                           const pcclErrorFeedback_t* feedback,
                           const node::ReduceRequest& request) {
  if (checked.ok() && feedback != nullptr)
    checked = invalid_argument("error feedback does not go with a local communicator");
  const Outcome outcome =
      checked.ok() ? Outcome{} : Outcome{Status::invalid_argument, std::move(checked.why)};
  Answer answer = answer_of(await_result, local.launch(across_hosts(peer), outcome, request));
  if (!answer.ok()) answer.why.insert(0, op_name(request.tag));
  return answer;
}

Answer await_hierarchical(HierarchicalAllReduce& local, node::PeerNode& peer, std::uint64_t tag,
                          pcclReduceInfo_t* info_out) {
  node::ReduceInfo info;
  Answer answer = answer_of(await_result, local.await(across_hosts(peer), tag, info));
  if (!answer.ok()) answer.why.insert(0, op_name(tag));
  if (answer.ok() && info_out != nullptr) *info_out = reduce_info(info);
  return answer;
}

pcclResult_t all_reduce(const char* call, const void* send, void* receive,
                        const pcclReduceDescriptor_t* descriptor,
                        const pcclErrorFeedback_t* feedback, const pcclComm_t* communicator,
                        pcclReduceInfo_t* info_out) {
  return with_communicator(call, communicator, [&](pcclComm_t& entered) {
    const std::shared_ptr<node::PeerNode> peer = entered.accepted_node();
    if (peer == nullptr) return invalid_usage("not connected");
    node::ReduceRequest request;
    Answer checked = check_reduce(send, receive, descriptor, entered.stream(), request);
    if (const auto local = entered.local()) {
      request.awaited_at_once = true;
      Answer refused = launch_hierarchical(*local, *peer, checked, feedback, request);
      return refused.ok() ? await_hierarchical(*local, *peer, request.tag, info_out) : refused;
    }
    if (!checked.ok()) return checked;
    FeedbackLease lease;
    if (Answer wrong = lease.take(feedback, request); !wrong.ok()) return wrong;
    request.awaited_at_once = true;
    if (Answer refused = launch(*peer, request); !refused.ok()) return refused;
    return await(*peer, request.tag, info_out);
  });
}

pcclResult_t all_reduce_async(const char* call, const void* send, void* receive,
                              const pcclReduceDescriptor_t* descriptor,
                              const pcclErrorFeedback_t* feedback, const pcclComm_t* communicator,
                              pcclAsyncReduceOp_t* handle_out) {
  return with_communicator(call, communicator, [&](pcclComm_t& entered) {
    const Answer no_handle =
        handle_out == nullptr ? invalid_argument("reduce_handle_out is NULL") : success();
    const std::shared_ptr<node::PeerNode> peer = entered.accepted_node();
    if (peer == nullptr) return no_handle.ok() ? invalid_usage("not connected") : no_handle;
    node::ReduceRequest request;
    Answer checked = no_handle.ok()
                         ? check_reduce(send, receive, descriptor, entered.stream(), request)
                         : no_handle;
    if (const auto local = entered.local()) {
      Answer answer = launch_hierarchical(*local, *peer, checked, feedback, request);
      if (answer.ok()) *handle_out = {&entered, request.tag};
      return answer;
    }
    if (!checked.ok()) return checked;
    FeedbackLease lease;
    if (Answer wrong = lease.take(feedback, request); !wrong.ok()) return wrong;
    if (Answer refused = launch(*peer, request); !refused.ok()) return refused;
    entered.keep(request.tag, std::move(lease));
    *handle_out = {&entered, request.tag};
    return success();
  });
}

}  // namespace

}  // namespace pccl::api

using namespace pccl::api;
using pccl::node::PeerNode;
using pccl::node::ReduceRequest;

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

pcclResult_t pcclSetStream(const pcclComm_t* communicator, void* stream) {
  return with_communicator("pcclSetStream", communicator, [&](pcclComm_t& entered) {
    entered.set_stream(static_cast<pccl::device::Stream>(stream));
    return success();
  });
}

pcclResult_t pcclAwaitAsyncReduce(const pcclAsyncReduceOp_t* reduce_handle,
                                  pcclReduceInfo_t* reduce_info_out) {
  if (!initialized()) return pcclNotInitialized;
  if (reduce_handle == nullptr) return pcclInvalidArgument;
  const pcclAsyncReduceOp_t handle = *reduce_handle;
  return with_communicator("pcclAwaitAsyncReduce", handle.comm, [&](pcclComm_t& entered) {
    const std::shared_ptr<PeerNode> peer = entered.accepted_node();
    if (peer == nullptr) return invalid_usage("not connected");
    if (const auto local = entered.local(); local != nullptr && local->in_flight(handle.tag))
      return await_hierarchical(*local, *peer, handle.tag, reduce_info_out);
    // First, since the tag is free for another op as soon as this one has ended.
    const FeedbackLease lease = entered.take_kept(handle.tag);
    return await(*peer, handle.tag, reduce_info_out);
  });
}
