#include "device/gpu.hpp"

#include <fmt/format.h>

#include <utility>

namespace pccl::device {

namespace {

// Memory that is kept on a GPU for the next op, and how much larger than asked for it may be.
constexpr std::size_t most_kept_bytes = limits::rollback_pool_bytes;
constexpr std::size_t wasteful = 2;
// Allocations are multiples of this.
constexpr std::size_t granule_bytes = 256 << 10;

std::mutex registry_mutex;
std::map<int, std::shared_ptr<Gpu>>& registry() {
  static auto* const gpus = new std::map<int, std::shared_ptr<Gpu>>;  // outlives CUDA at exit
  return *gpus;
}

}  // namespace

Error::Error(Runtime& runtime, int gpu, const std::string& what, int error)
    : std::runtime_error(fmt::format("GPU {}: {}: {}", gpu, what, runtime.describe(error))) {}

std::shared_ptr<Gpu> Gpu::at(int ordinal) {
  Runtime* const here = device::runtime();
  if (here == nullptr) throw Error("this build of the library has no CUDA support");
  const std::lock_guard guard(registry_mutex);
  std::shared_ptr<Gpu>& gpu = registry()[ordinal];
  if (gpu == nullptr) gpu = std::make_shared<Gpu>(*here, ordinal);
  return gpu;
}

void Gpu::forget_all() {
  const std::lock_guard guard(registry_mutex);
  registry().clear();
}

Gpu::~Gpu() {
  idle_.clear();
  busy_.clear();
  broken_.clear();
  for (const auto& [bytes, data] : kept_memory_) runtime_.free(ordinal_, data);
}

Memory Gpu::memory(std::size_t bytes) {
  bytes = (bytes + granule_bytes - 1) / granule_bytes * granule_bytes;
  if (bytes == 0) return {};
  {
    const std::lock_guard guard(mutex_);
    const auto fits = kept_memory_.lower_bound(bytes);
    if (fits != kept_memory_.end() && fits->first <= wasteful * bytes) {
      const auto [size, data] = *fits;
      kept_bytes_ -= size;
      kept_memory_.erase(fits);
      return {shared_from_this(), data, size};
    }
  }
  void* data = nullptr;
  int error = runtime_.allocate(ordinal_, bytes, &data);
  if (error != 0) {  // once more, without what is kept
    std::multimap<std::size_t, std::byte*> kept;
    {
      const std::lock_guard guard(mutex_);
      kept.swap(kept_memory_);
      kept_bytes_ = 0;
    }
    for (const auto& [size, unused] : kept) runtime_.free(ordinal_, unused);
    error = runtime_.allocate(ordinal_, bytes, &data);
  }
  if (error != 0)
    throw Error(runtime_, ordinal_, fmt::format("no {} bytes of its memory", bytes), error);
  return {shared_from_this(), static_cast<std::byte*>(data), bytes};
}

Memory::~Memory() {
  if (gpu_ != nullptr) gpu_->give_back(data_, bytes_);
}

void Gpu::give_back(std::byte* data, std::size_t bytes) {
  {
    const std::lock_guard guard(mutex_);
    if (kept_bytes_ + bytes <= most_kept_bytes) {
      kept_memory_.emplace(bytes, data);
      kept_bytes_ += bytes;
      return;
    }
  }
  runtime_.free(ordinal_, data);
}

std::unique_ptr<Queue> Gpu::take_idle() {
  const std::lock_guard guard(mutex_);
  for (std::size_t i = busy_.size(); i-- > 0;) {
    if (!busy_[i]->ended()) continue;
    (busy_[i]->error() != 0 ? broken_ : idle_).push_back(std::move(busy_[i]));
    busy_.erase(busy_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  if (idle_.empty()) return nullptr;
  std::unique_ptr<Queue> queue = std::move(idle_.back());
  idle_.pop_back();
  return queue;
}

std::shared_ptr<Queue> Gpu::queue() {
  std::unique_ptr<Queue> queue = take_idle();
  if (queue == nullptr) queue = std::make_unique<Queue>(runtime_, ordinal_);
  if (queue->error() != 0) throw Error(runtime_, ordinal_, "no stream of its own", queue->error());
  return {queue.release(), [self = shared_from_this()](Queue* lent) {
            self->give_back(std::unique_ptr<Queue>(lent));
          }};
}

// In a stream of its own: of the default one CUDA says whether somebody captures a graph, and may
// call that off.
std::string Gpu::failure() {
  std::unique_ptr<Queue> queue = take_idle();
  if (queue == nullptr) queue = std::make_unique<Queue>(runtime_, ordinal_);
  const int error = queue->check();
  give_back(std::move(queue));
  if (error == 0 || error == Runtime::out_of_memory) return {};
  return fmt::format("GPU {}: {}", ordinal_, runtime_.describe(error));
}

void Gpu::give_back(std::unique_ptr<Queue> queue) {
  if (!queue->lingers) queue->wait();
  queue->lingers = false;
  const bool ended = queue->ended();
  if (ended && queue->error() != 0 && !queue->has_calls_to_make()) return;
  const std::lock_guard guard(mutex_);
  (queue->error() != 0 ? broken_ : ended ? idle_ : busy_).push_back(std::move(queue));
}

}  // namespace pccl::device
