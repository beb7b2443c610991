#include "node/gpu_requests.hpp"

#include <optional>
#include <set>

#include "device/gpu.hpp"
#include "device/stream_wait.hpp"

namespace pccl::node {

namespace {

Outcome wait_for_streams(const std::set<int>& gpus, device::Stream stream,
                         const std::function<bool()>& give_up) {
  try {
    for (const int gpu : gpus)
      if (!device::wait_for_stream(gpu, stream, give_up))
        return {Status::interrupted, "interrupted in a wait for the application's stream"};
  } catch (const std::exception& error) {
    return {Status::internal, error.what()};
  }
  return {};
}

// Those whose work may still write what the request names.
std::set<int> gpus_of(const SyncRequest& request) {
  std::set<int> gpus;
  if (!device::has_cuda_support()) return gpus;
  for (const StateEntry& entry : request.entries)
    if (!entry.may_differ && entry.where.place != device::Place::host) gpus.insert(entry.where.gpu);
  return gpus;
}

std::set<int> gpus_of(const ReduceRequest& request) {
  const device::Location& location = request.on_gpu.location;
  if (!device::has_cuda_support() || request.count == 0) return {};
  if (location.place == device::Place::host) return {};
  return {location.gpu};
}

std::string first_failure(const std::set<int>& gpus) {
  for (const int gpu : gpus)
    if (std::string why = device::Gpu::at(gpu)->failure(); !why.empty()) return why;
  return {};
}

}  // namespace

Outcome wait_for_input(const ReduceRequest& request, const std::function<bool()>& give_up) {
  if (request.on_gpu.location.place != device::Place::managed) return {};
  return wait_for_streams(gpus_of(request), request.on_gpu.stream, give_up);
}

Outcome wait_for_input(const SyncRequest& request, const std::function<bool()>& give_up) {
  return wait_for_streams(gpus_of(request), request.stream, give_up);
}

Outcome make_workspace(const ReduceRequest& request,
                       std::shared_ptr<device::Workspace>& workspace) {
  workspace = request.workspace;
  if (workspace != nullptr) return {};
  const auto& [location, stream] = request.on_gpu;
  const std::size_t bytes = request.count * size_of(request.type);
  if (bytes == 0 || location.place != device::Place::cuda) return {};
  try {
    workspace = device::make_workspace(
        location.gpu, stream,
        {.op = request.op,
         .type = request.type,
         .code = request.quantization ? std::optional(request.quantization.code) : std::nullopt,
         .bytes = bytes,
         .way_back_bytes = request.send == request.receive ? bytes : 0,
         .residual_bytes = request.residual == nullptr ? 0 : request.count * sizeof(float)});
  } catch (const std::exception& error) {
    return {Status::internal, error.what()};
  }
  return {};
}

std::string failed_gpu(const ReduceRequest& request) {
  return first_failure(gpus_of(request));
}

std::string failed_gpu(const SyncRequest& request) {
  return first_failure(gpus_of(request));
}

}  // namespace pccl::node
