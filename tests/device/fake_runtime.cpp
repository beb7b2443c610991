#include "fake_runtime.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <utility>

#include "kernels/host_kernels.hpp"

namespace pccl_test {

using pccl::DataType;
using pccl::RedOp;
using pccl::device::Location;
using pccl::device::Place;
using pccl::device::Stream;
namespace on_host = pccl::kernels::on_host;

namespace {

// Whether this thread carries out what call() has been given: it may call nothing of CUDA.
thread_local bool in_host_function = false;

}  // namespace

std::unique_lock<std::mutex> FakeRuntime::entered() const {
  EXPECT_FALSE(in_host_function) << "a host function of CUDA's calls CUDA";
  return std::unique_lock(mutex_);
}

FakeRuntime::FakeRuntime(Worker worker, std::uint64_t seed) : worker_(worker), rng_(seed) {
  if (worker_ == Worker::thread) thread_ = std::thread([this] { work(); });
}

FakeRuntime::~FakeRuntime() {
  {
    const std::lock_guard guard(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

// ---- memory
// ----------------------------------------------------------------------------------------------

std::byte* FakeRuntime::keep(std::size_t bytes, Kind kind, int gpu) {
  Stretch stretch{std::make_unique<std::byte[]>(bytes + 1), bytes, kind, gpu};
  std::byte* const at = stretch.bytes.get();
  std::memset(at, 0x5a, bytes);
  memory_.emplace(reinterpret_cast<std::uintptr_t>(at), std::move(stretch));
  return at;
}

std::byte* FakeRuntime::device_memory(std::size_t bytes, int gpu) {
  const std::lock_guard guard(mutex_);
  return keep(bytes, Kind::device, gpu);
}

std::byte* FakeRuntime::managed_memory(std::size_t bytes) {
  const std::lock_guard guard(mutex_);
  return keep(bytes, Kind::managed, 0);
}

void FakeRuntime::adopt(void* memory, std::size_t bytes, int gpu) {
  const std::lock_guard guard(mutex_);
  memory_[reinterpret_cast<std::uintptr_t>(memory)] = {nullptr, bytes, Kind::device, gpu};
}

void FakeRuntime::release(void* memory) {
  const std::lock_guard guard(mutex_);
  memory_.erase(reinterpret_cast<std::uintptr_t>(memory));
}

const FakeRuntime::Stretch* FakeRuntime::find(const void* at) const {
  const auto address = reinterpret_cast<std::uintptr_t>(at);
  auto after = memory_.upper_bound(address);
  if (after == memory_.begin()) return nullptr;
  --after;
  return address < after->first + after->second.size ? &after->second : nullptr;
}

bool FakeRuntime::on_gpu(int gpu, const Use& use) const {
  const auto found = [&](std::size_t offset) {
    const Stretch* const stretch = find(static_cast<const std::byte*>(use.at) + offset);
    return stretch != nullptr && stretch->kind == Kind::device && stretch->gpu == gpu;
  };
  return use.bytes == 0 || (found(0) && found(use.bytes - 1));
}

Location FakeRuntime::locate(const void* at) {
  const std::lock_guard guard(mutex_);
  const Stretch* const stretch = find(at);
  if (stretch == nullptr || stretch->kind == Kind::pinned) return {};
  return {stretch->kind == Kind::managed ? Place::managed : Place::cuda, stretch->gpu};
}

std::string FakeRuntime::describe(int error) {
  switch (error) {
    case invalid_value:
      return "invalid value";
    case out_of_memory:
      return "out of memory";
    case broken:
      return "unspecified launch failure";
    default:
      return "error " + std::to_string(error);
  }
}

int FakeRuntime::allocate(int gpu, std::size_t bytes, void** memory) {
  const auto lock = entered();
  if (broken_) return broken;
  if (allocations_left_ == 0) return out_of_memory;
  --allocations_left_;
  *memory = keep(bytes, Kind::device, gpu);
  return 0;
}

void FakeRuntime::free(int gpu, void* memory) {
  std::vector<Stream> streams;
  if (frees_wait_) {
    const std::lock_guard guard(mutex_);
    for (const auto& [name, at] : queues_)
      if (at->gpu == gpu) streams.push_back(name.second);
  }
  for (const Stream stream : streams) wait(gpu, stream);
  release(memory);
}

int FakeRuntime::allocate_pinned(int, std::size_t bytes, void** memory) {
  const auto lock = entered();
  if (broken_) return broken;
  if (!pins_) return out_of_memory;
  *memory = keep(bytes, Kind::pinned, 0);
  return 0;
}

void FakeRuntime::free_pinned(int, void* memory) {
  release(memory);
}

std::size_t FakeRuntime::live(Kind kind) const {
  const std::lock_guard guard(mutex_);
  std::size_t bytes = 0;
  for (const auto& [at, stretch] : memory_)
    if (stretch.kind == kind) bytes += stretch.size;
  return bytes;
}

std::size_t FakeRuntime::live_device_bytes() const {
  return live(Kind::device);
}
std::size_t FakeRuntime::live_pinned_bytes() const {
  return live(Kind::pinned);
}

FakeRuntime::Traffic FakeRuntime::traffic() const {
  const std::lock_guard guard(mutex_);
  return traffic_;
}

std::size_t FakeRuntime::live_streams() const {
  const std::lock_guard guard(mutex_);
  return queues_.size();
}

std::size_t FakeRuntime::pieces_done() const {
  const std::lock_guard guard(mutex_);
  return pieces_done_;
}

// ---- streams
// ---------------------------------------------------------------------------------------------

std::shared_ptr<FakeRuntime::Queue> FakeRuntime::queue(int gpu, Stream stream) {
  auto& found = queues_[{stream == nullptr ? gpu : 0, stream}];
  if (found == nullptr) {
    found = std::make_shared<Queue>();
    found->gpu = gpu;
  }
  return found;
}

Stream FakeRuntime::application_stream(int gpu) {
  Stream stream = nullptr;
  make_stream(gpu, &stream);
  return stream;
}

int FakeRuntime::make_stream(int gpu, Stream* stream) {
  const auto lock = entered();
  if (broken_) return broken;
  *stream = reinterpret_cast<Stream>(next_stream_);
  next_stream_ += 16;
  queue(gpu, *stream);
  return 0;
}

void FakeRuntime::destroy_stream(int, Stream stream) {
  const auto lock = entered();
  queues_.erase({0, stream});
}

void FakeRuntime::hold(Stream stream, int gpu) {
  const std::lock_guard guard(mutex_);
  queue(gpu, stream)->held = true;
  ++queue(gpu, stream)->put;
  queue(gpu, stream)->pieces.push_back({[] {}, nullptr, 0});
}

void FakeRuntime::let_go(Stream stream, int gpu) {
  {
    const std::lock_guard guard(mutex_);
    queue(gpu, stream)->held = false;
  }
  changed_.notify_all();
}

void FakeRuntime::put(Stream stream, std::function<void()> work, int gpu) {
  const std::lock_guard guard(mutex_);
  put_piece(gpu, stream, std::move(work));
}

int FakeRuntime::put_piece(int gpu, Stream stream, std::function<void()> work) {
  if (broken_) return broken;
  const auto at = queue(gpu, stream);
  if (at->gpu != gpu) return invalid_value;
  at->pieces.push_back({std::move(work), nullptr, 0});
  ++at->put;
  changed_.notify_all();
  return 0;
}

int FakeRuntime::follow(int gpu, Stream stream, Stream other) {
  const auto lock = entered();
  if (broken_) return broken;
  if (not_followed_.contains(other)) return invalid_value;
  if (captured_) {
    if (other == nullptr) return capture_implicit;
    if (other == *captured_) return capture_unsupported;
  }
  const auto at = queue(gpu, stream), before = queue(gpu, other);
  at->pieces.push_back({[] {}, before, before->put});
  ++at->put;
  changed_.notify_all();
  return 0;
}

void FakeRuntime::fail_following(Stream stream, bool fail) {
  const std::lock_guard guard(mutex_);
  if (fail)
    not_followed_.insert(stream);
  else
    not_followed_.erase(stream);
}

void FakeRuntime::begin_capture(Stream stream) {
  const std::lock_guard guard(mutex_);
  captured_ = stream;
  capture_is_good_ = true;
}

bool FakeRuntime::end_capture() {
  const std::lock_guard guard(mutex_);
  captured_.reset();
  return capture_is_good_;
}

std::shared_ptr<FakeRuntime::Queue> FakeRuntime::next() {
  std::vector<std::shared_ptr<Queue>> ready;
  for (const auto& [name, at] : queues_) {
    if (at->held || at->busy || at->pieces.empty()) continue;
    const Piece& first = at->pieces.front();
    if (first.after == nullptr || first.after->done >= first.count) ready.push_back(at);
  }
  return ready.empty() ? nullptr : ready[rng_.below(ready.size())];
}

bool FakeRuntime::step(std::unique_lock<std::mutex>& lock) {
  if (broken_) return false;
  const auto at = next();
  if (at == nullptr) return false;
  Piece piece = std::move(at->pieces.front());
  at->pieces.pop_front();
  at->busy = true;
  lock.unlock();
  piece.work();
  lock.lock();
  at->busy = false;
  at->asked = 0;
  ++at->done;
  ++pieces_done_;
  changed_.notify_all();
  return true;
}

bool FakeRuntime::step() {
  std::unique_lock lock(mutex_);
  return step(lock);
}

void FakeRuntime::work() {
  std::unique_lock lock(mutex_);
  while (!stopping_)
    if (!step(lock)) changed_.wait(lock);
}

int FakeRuntime::wait(int gpu, Stream stream) {
  auto lock = entered();
  const auto at = queue(gpu, stream);
  const std::uint64_t until = at->put;
  if (at->done < until) ++waits_;
  changed_.notify_all();
  while (!broken_ && at->done < until)
    if (worker_ == Worker::thread || !step(lock)) changed_.wait(lock);
  return broken_ ? broken : 0;
}

void FakeRuntime::await_who_waits() {
  std::unique_lock lock(mutex_);
  const bool somebody =
      changed_.wait_for(lock, std::chrono::seconds(20), [&] { return waits_ > 0; });
  EXPECT_TRUE(somebody) << "nobody waits";
  waits_ = 0;
}

int FakeRuntime::query(int gpu, Stream stream) {
  auto lock = entered();
  if (broken_) return broken;
  if (captured_ && stream == nullptr) {
    capture_is_good_ = false;
    return capture_implicit;
  }
  const auto at = queue(gpu, stream);
  if (at->done == at->put) return 0;
  ++waits_;
  changed_.notify_all();
  if (worker_ == Worker::nobody && ++at->asked >= who_asks_so_often_waits) step(lock);
  return broken_ ? broken : not_ready;
}

void FakeRuntime::break_down() {
  std::unique_lock lock(mutex_);
  broken_ = true;
  const auto busy = [&] {
    for (const auto& [name, at] : queues_)
      if (at->busy) return true;
    return false;
  };
  changed_.wait(lock, [&] { return !busy(); });
  for (const auto& [name, at] : queues_) at->pieces.clear();
  lock.unlock();
  changed_.notify_all();
}

// ---- work
// ------------------------------------------------------------------------------------------------

int FakeRuntime::call(int gpu, Stream stream, void (*function)(void*), void* argument) {
  const auto lock = entered();
  return put_piece(gpu, stream, [=] {
    in_host_function = true;
    function(argument);
    in_host_function = false;
  });
}

int FakeRuntime::copy(int gpu, Stream stream, void* to, const void* from, std::size_t bytes) {
  const auto lock = entered();
  if (const auto found = copies_to_fail_.find(gpu);
      found != copies_to_fail_.end() && found->second-- == 0) {
    copies_to_fail_.erase(found);
    return invalid_value;
  }
  const bool into = on_gpu(gpu, {to, 1}), out_of = on_gpu(gpu, {from, 1});
  if (!into && !out_of) return invalid_value;
  if ((into && !on_gpu(gpu, {to, bytes})) || (out_of && !on_gpu(gpu, {from, bytes})))
    return invalid_value;
  (into && out_of ? traffic_.on_device : into ? traffic_.to_device : traffic_.from_device) += bytes;
  std::vector<Use> uses;  // what is pageable memory of the host is the sanitizers' to watch
  for (const void* const at : {static_cast<const void*>(to), from})
    if (find(at) != nullptr) uses.push_back({at, bytes});
  return put_piece(gpu, stream, watched(uses, [=] { std::memcpy(to, from, bytes); }));
}

std::function<void()> FakeRuntime::watched(std::vector<Use> uses, std::function<void()> work) {
  return [this, uses = std::move(uses), work = std::move(work)] {
    {
      const std::lock_guard guard(mutex_);
      for (const Use& use : uses)
        EXPECT_TRUE(use.bytes == 0 || find(use.at) != nullptr) << "freed before it is used";
    }
    work();
  };
}

int FakeRuntime::put_kernel(int gpu, Stream stream, const std::vector<Use>& uses,
                            std::function<void()> work) {
  for (const Use& use : uses)
    if (!on_gpu(gpu, use)) return invalid_value;
  return put_piece(gpu, stream, watched(uses, std::move(work)));
}

int FakeRuntime::load_reduce(int gpu, RedOp op, DataType type) {
  const auto lock = entered();
  if (not_loading_.contains(gpu)) return out_of_memory;
  loaded_.insert({gpu, op, type});
  return 0;
}

void FakeRuntime::fail_loading(int gpu, bool fail) {
  const std::lock_guard guard(mutex_);
  if (fail)
    not_loading_.insert(gpu);
  else
    not_loading_.erase(gpu);
}

void FakeRuntime::fail_copy(int gpu, std::size_t number) {
  const std::lock_guard guard(mutex_);
  copies_to_fail_[gpu] = number;
}

bool FakeRuntime::is_loaded(int gpu, RedOp op, DataType type) const {
  const std::lock_guard guard(mutex_);
  return loaded_.contains({gpu, op, type});
}

int FakeRuntime::reduce(int gpu, Stream stream, RedOp op, DataType type, void* out, const void* a,
                        const void* b, std::size_t count) {
  const auto lock = entered();
  if (count == 0) return 0;
  const std::size_t bytes = count * size_of(type);
  return put_kernel(gpu, stream, {{out, bytes}, {a, bytes}, {b, bytes}},
                    [=] { on_host::reduce(op, type, out, a, b, count); });
}

int FakeRuntime::finalize(int gpu, Stream stream, RedOp op, DataType type, void* data,
                          std::size_t count, std::uint32_t world_size) {
  const auto lock = entered();
  if (count == 0) return 0;
  return put_kernel(gpu, stream, {{data, count * size_of(type)}},
                    [=] { on_host::finalize(op, type, data, count, world_size); });
}

int FakeRuntime::quantize(int gpu, Stream stream, DataType type, pccl::Code code,
                          const pccl::kernels::cuda::QuantizeStep& step) {
  const auto lock = entered();
  if (step.count == 0) return 0;
  std::vector<Use> uses{
      {step.out.codes, 1}, {step.out.ranges, 1}, {step.values, step.count * size_of(type)}};
  if (step.in.codes != nullptr) uses.insert(uses.end(), {{step.in.codes, 1}, {step.in.ranges, 1}});
  if (step.residual != nullptr) uses.push_back({step.residual, step.count * sizeof(float)});
  return put_kernel(gpu, stream, uses, [=] { on_host::quantize(type, code, step); });
}

int FakeRuntime::dequantize(int gpu, Stream stream, DataType type, pccl::Code code,
                            const pccl::kernels::cuda::DequantizeStep& step) {
  const auto lock = entered();
  if (step.count == 0) return 0;
  return put_kernel(
      gpu, stream,
      {{step.out, step.count * size_of(type)}, {step.in.codes, 1}, {step.in.ranges, 1}},
      [=] { on_host::dequantize(type, code, step); });
}

int FakeRuntime::digest(int gpu, Stream stream, const pccl::kernels::cuda::DigestJob* jobs,
                        std::size_t count, std::uint8_t* octets, const std::byte* secret) {
  const auto lock = entered();
  if (count == 0) return 0;
  return put_kernel(gpu, stream,
                    {{jobs, count * sizeof *jobs}, {octets, 16 * count}, {secret, 192}},
                    [=] { on_host::digest(jobs, count, octets, secret); });
}

}  // namespace pccl_test
