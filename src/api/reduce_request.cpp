#include "api/reduce_request.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "api/enums.hpp"
#include "api/quantization.hpp"
#include "base/limits.hpp"
#include "device/runtime.hpp"

namespace pccl::api {

namespace {

using device::Place;

// Where both buffers are. Where one is managed, the host's rules hold for both.
Answer locate(const void* send, const void* receive, std::size_t count, std::size_t element_bytes,
              node::OnGpu& on_gpu) {
  const device::Location from = device::location_of(send), to = device::location_of(receive);
  const bool gpu = from.place == Place::cuda || to.place == Place::cuda;
  if (gpu && !device::has_cuda_support())
    return invalid_argument("the " + std::string(from.place == Place::cuda ? "send" : "receive") +
                            " buffer is memory of a GPU; this build takes host memory only");
  if (gpu && from != to)
    return invalid_argument("the send buffer is " + device::name_of(from) +
                            ", the receive buffer " + device::name_of(to));
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

}  // namespace pccl::api
