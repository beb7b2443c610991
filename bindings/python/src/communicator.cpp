#include "communicator.hpp"

#include <pybind11/stl.h>

#include <array>
#include <utility>

#include "address.hpp"
#include "blocking.hpp"

namespace py = pybind11;

namespace pccl_python {

namespace {

template <typename Enum>
Enum enum_of(int value) {
  return static_cast<Enum>(value);  // checked by the library
}

pcclReduceDescriptor_t descriptor_of(const Communicator::Operation& operation) {
  pcclReduceDescriptor_t descriptor{};
  descriptor.count = operation.count;
  descriptor.op = enum_of<pcclRedOp_t>(operation.op);
  descriptor.tag = operation.tag;
  descriptor.src_descriptor.datatype = enum_of<pcclDataType_t>(operation.type);
  descriptor.src_descriptor.distribution_hint = enum_of<pcclDistributionHint_t>(operation.hint);
  descriptor.quantization_options.quantized_datatype =
      enum_of<pcclDataType_t>(operation.quantized_type);
  descriptor.quantization_options.algorithm =
      enum_of<pcclQuantizationAlgorithm_t>(operation.quantization);
  return descriptor;
}

void* pointer(std::uintptr_t address) {
  return reinterpret_cast<void*>(address);  // NOLINT(performance-no-int-to-ptr): Python's integers
}

pcclErrorFeedback_t* handle_of(const ErrorFeedback* feedback) {
  return feedback == nullptr ? nullptr : feedback->handle();
}

Communicator::Reduced reduced(int code, const pcclReduceInfo_t& info) {
  return {code, info.local_world_size, info.tx_bytes, info.rx_bytes};
}

}  // namespace

Communicator::Communicator(const std::string& ip, std::uint16_t port, std::uint32_t peer_group,
                           std::uint32_t connections) {
  pcclCommCreateParams_t params{};
  params.master_address = socket_address(ip, port);
  params.peer_group = peer_group;
  params.p2p_connection_pool_size = connections;
  if (pcclCreateCommunicator(&params, &handle_) != pcclSuccess)
    throw std::runtime_error("pcclCreateCommunicator failed");
}

Communicator::~Communicator() {
  destroy();
}

// Other threads that are inside come out first, and may need the GIL for it. What a forked process
// has inherited is not its own (pccl.h, fork): it lets go of it.
void Communicator::destroy() {
  pcclComm_t* const handle = std::exchange(handle_, nullptr);
  if (handle == nullptr || process_ != getpid()) return;
  without_gil([handle] { return pcclDestroyCommunicator(handle); });
}

int Communicator::connect() {
  return blocking([handle = handle_] { return pcclConnect(handle); });
}

int Communicator::set_cohort(std::uint64_t cohort, std::uint32_t size) {
  return pcclSetCohort(handle_, cohort, size);
}

int Communicator::set_stream(std::uintptr_t stream) {
  return pcclSetStream(handle_, pointer(stream));
}

int Communicator::attach_local(std::uintptr_t local, std::uintptr_t stream) {
  return without_gil(
      [=, handle = handle_] {  // CUDA may wait for the GPU before it has made a stream
        return pcclCommAttachLocal(handle, static_cast<ncclComm*>(pointer(local)), pointer(stream));
      });
}

std::tuple<int, int> Communicator::attribute(int which) const {
  int value = 0;
  const pcclResult_t result = pcclGetAttribute(handle_, enum_of<pcclAttribute_t>(which), &value);
  return {result, value};
}

int Communicator::update_topology() {
  return blocking([handle = handle_] { return pcclUpdateTopology(handle); });
}

std::tuple<int, bool> Communicator::are_peers_pending() {
  bool pending = false;
  const int code =
      blocking([&, handle = handle_] { return pcclArePeersPending(handle, &pending); });
  return {code, pending};
}

int Communicator::optimize_topology() {
  return blocking([handle = handle_] { return pcclOptimizeTopology(handle); });
}

Communicator::Reduced Communicator::all_reduce(const Operation& operation,
                                               const ErrorFeedback* feedback) {
  const pcclReduceDescriptor_t descriptor = descriptor_of(operation);
  pcclReduceInfo_t info{};
  const int code = blocking([&, handle = handle_] {
    return pcclAllReduceWithFeedback(pointer(operation.send), pointer(operation.receive),
                                     &descriptor, handle_of(feedback), handle, &info);
  });
  return reduced(code, info);
}

// Launching may wait for the loop for as long as a handler of it takes.
int Communicator::all_reduce_async(const Operation& operation, const ErrorFeedback* feedback) {
  const pcclReduceDescriptor_t descriptor = descriptor_of(operation);
  pcclAsyncReduceOp_t unused{};
  return blocking([&, handle = handle_] {
    return pcclAllReduceWithFeedbackAsync(pointer(operation.send), pointer(operation.receive),
                                          &descriptor, handle_of(feedback), handle, &unused);
  });
}

Communicator::Reduced Communicator::await(std::uint64_t tag) {
  const pcclAsyncReduceOp_t launched{handle_, tag};
  pcclReduceInfo_t info{};
  const int code =
      blocking([&, handle = handle_] { return pcclAwaitAsyncReduce(&launched, &info); });
  return reduced(code, info);
}

Communicator::Reduced Communicator::all_reduce_multiple(
    const std::vector<Operation>& operations, const std::vector<const ErrorFeedback*>& feedbacks,
    int max_in_flight) {
  std::vector<pcclReduceOpDescriptor_t> descriptors;
  for (const Operation& operation : operations)
    descriptors.push_back(
        {pointer(operation.send), pointer(operation.receive), descriptor_of(operation)});
  std::vector<pcclErrorFeedback_t*> handles;
  for (const ErrorFeedback* feedback : feedbacks) handles.push_back(handle_of(feedback));
  handles.resize(operations.size());
  pcclReduceInfo_t info{};
  const int code = blocking([&, handle = handle_] {
    return pcclAllReduceMultipleWithFeedback(descriptors.data(), handles.data(), descriptors.size(),
                                             handle, &info, max_in_flight);
  });
  return reduced(code, info);
}

std::tuple<int, std::uint64_t, std::uint64_t, std::uint64_t> Communicator::synchronize(
    std::uint64_t revision, const std::vector<Entry>& entries, int strategy) {
  std::vector<pcclTensorInfo_t> infos;
  for (const auto& [name, address, count, type, device, may_differ] : entries)
    infos.push_back({name.c_str(), pointer(address), count, enum_of<pcclDataType_t>(type),
                     enum_of<pcclDeviceType_t>(device), may_differ});
  pcclSharedState_t state{revision, infos.size(), infos.data()};
  pcclSharedStateSyncInfo_t info{};
  const int code = blocking([&, handle = handle_] {
    return pcclSynchronizeSharedState(handle, &state,
                                      enum_of<pcclSharedStateSyncStrategy_t>(strategy), &info);
  });
  return {code, state.revision, info.tx_bytes, info.rx_bytes};
}

std::tuple<int, std::uint64_t, std::uint64_t> Communicator::sync_progress() const {
  std::uint64_t here = 0, wanted = 0;
  const pcclResult_t result = pcclGetSyncProgress(handle_, &here, &wanted);
  return {result, here, wanted};
}

std::string Communicator::last_error() const {
  std::array<char, 4096> text{};
  pcclGetLastError(handle_, text.data(), text.size());
  return text.data();
}

void bind_communicator(py::module_& module) {
  using Operation = Communicator::Operation;
  py::class_<Operation>(module, "Operation")
      .def(py::init([](std::uintptr_t send, std::uintptr_t receive, std::size_t count, int type,
                       int op, std::uint64_t tag, int hint, int quantized_type, int quantization) {
        return Operation{send, receive, count, type, op, tag, hint, quantized_type, quantization};
      }))
      .def_readwrite("send", &Operation::send)
      .def_readwrite("receive", &Operation::receive)
      .def_readwrite("count", &Operation::count)
      .def_readwrite("type", &Operation::type)
      .def_readwrite("op", &Operation::op)
      .def_readwrite("tag", &Operation::tag)
      .def_readwrite("hint", &Operation::hint)
      .def_readwrite("quantized_type", &Operation::quantized_type)
      .def_readwrite("quantization", &Operation::quantization);
  py::class_<Communicator>(module, "Communicator")
      .def(py::init<const std::string&, std::uint16_t, std::uint32_t, std::uint32_t>())
      .def("destroy", &Communicator::destroy)
      .def("connect", &Communicator::connect)
      .def("set_cohort", &Communicator::set_cohort)
      .def("set_stream", &Communicator::set_stream)
      .def("attach_local", &Communicator::attach_local)
      .def("attribute", &Communicator::attribute)
      .def("update_topology", &Communicator::update_topology)
      .def("are_peers_pending", &Communicator::are_peers_pending)
      .def("optimize_topology", &Communicator::optimize_topology)
      .def("all_reduce", &Communicator::all_reduce)
      .def("all_reduce_async", &Communicator::all_reduce_async)
      .def("await_reduce", &Communicator::await)
      .def("all_reduce_multiple", &Communicator::all_reduce_multiple)
      .def("synchronize", &Communicator::synchronize)
      .def("sync_progress", &Communicator::sync_progress)
      .def("last_error", &Communicator::last_error);
}

}  // namespace pccl_python
