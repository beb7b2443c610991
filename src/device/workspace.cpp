#include "device/workspace.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/limits.hpp"
#include "device/host_memory.hpp"

namespace pccl::device {

namespace {
// Enough that copies in both directions and kernels of different segments go on at once.
constexpr std::size_t most_queues = 4;

// Blocks for segments that travel: beyond these the loop pins what an op over a long link needs.
constexpr std::size_t most_pinned_ahead = 64;

}  // namespace

Workspace::~Workspace() {
  if (gate->is_open()) return;
  for (const auto& queue : queues) queue->lingers = true;  // it only waits for the application
}

std::string Workspace::failure() const {
  for (const auto& queue : queues)
    if (queue->error() != 0) return fmt::format("GPU {}: {}", gpu->ordinal(), queue->why());
  return {};
}

std::string Workspace::check() {
  for (const auto& queue : queues) queue->check();
  return failure();
}

void Workspace::wait() {
  for (const auto& queue : queues) queue->wait();
}

std::shared_ptr<Workspace> make_workspace(int gpu, Stream application,
                                          const WorkspaceNeeds& needs) {
  auto made = std::make_shared<Workspace>();
  made->gpu = Gpu::at(gpu);
  Runtime& runtime = made->gpu->runtime();
  const int loaded = needs.code ? runtime.load_quantize(gpu, needs.type, *needs.code)
                                : runtime.load_reduce(gpu, needs.op, needs.type);
  if (loaded != 0) throw Error(runtime, gpu, "its kernels cannot be loaded", loaded);
  const std::size_t queues =
      std::clamp<std::size_t>(needs.bytes / limits::segment_bytes, 1, most_queues);
  made->blocks = made->gpu->memory(queues * limits::segment_bytes);
  made->way_back = made->gpu->memory(needs.way_back_bytes);
  made->residual_way_back = made->gpu->memory(needs.residual_bytes);
  pin_ahead(*made->gpu, limits::segment_bytes,
            std::min(needs.bytes / limits::segment_bytes + 1, most_pinned_ahead));
  while (made->queues.size() < queues) made->queues.push_back(made->gpu->queue());
  Queue& first = *made->queues.front();
  first.follow(application);
  if (first.error() != 0)
    throw Error(runtime, gpu, "the application's stream cannot be followed", first.error());
  first.then([gate = made->gate] { gate->open(); });
  return made;
}

}  // namespace pccl::device
