// CUDA on the CPU: GPUs whose memory is the heap's, streams whose work is done piece by piece, by a
// thread or by whoever asks. Any stream that can go on may be the next, so what has not been
// ordered happens in any order. It watches what is done with memory: kernels see that of their GPU
// only, and all of it has to be alive when the work is put into a stream, and when it is done.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "base/rng.hpp"
#include "device/runtime.hpp"

namespace pccl_test {

class FakeRuntime final : public pccl::device::Runtime {
 public:
  enum class Worker : std::uint8_t {
    thread,  // works as soon as it can
    nobody,  // step() does, and who waits
  };
  explicit FakeRuntime(Worker worker = Worker::thread, std::uint64_t seed = 1);
  ~FakeRuntime() override;
  FakeRuntime(const FakeRuntime&) = delete;
  FakeRuntime& operator=(const FakeRuntime&) = delete;

  // The application's side.
  std::byte* device_memory(std::size_t bytes, int gpu = 0);
  std::byte* managed_memory(std::size_t bytes);
  void adopt(void* memory, std::size_t bytes, int gpu = 0);  // the caller's counts as the GPU's
  void release(void* memory);
  pccl::device::Stream application_stream(int gpu = 0);
  // Work of the application's that has not ended before let_go(); null is the default stream.
  void hold(pccl::device::Stream stream, int gpu = 0);
  void let_go(pccl::device::Stream stream, int gpu = 0);
  void put(pccl::device::Stream stream, std::function<void()> work, int gpu = 0);

  // Returns once somebody waits, or asks again and again, for work that is not done. Not for long.
  void await_who_waits();

  bool step();  // one piece of work; false: there is none that can be done
  void fail_allocations_after(std::size_t count) { allocations_left_ = count; }
  void fail_pinning() { pins_ = false; }
  // From now on free() waits for all that the GPU does, as CUDA's may.
  void wait_when_freeing(bool wait = true) { frees_wait_ = wait; }
  void fail_following(pccl::device::Stream stream, bool fail = true);  // nothing can follow it
  void fail_loading(int gpu, bool fail = true);                        // of kernels
  void fail_copy(int gpu, std::size_t number);  // with this number, from 0, from now on
  bool is_loaded(int gpu, pccl::RedOp op, pccl::DataType type) const;
  // A graph, as it is captured of a stream that blocks the default one. It is void when somebody
  // asks the default stream meanwhile.
  void begin_capture(pccl::device::Stream stream);
  bool end_capture();  // whether it is good

  // From now on everything fails, and what has not been done is never done.
  void break_down();

  struct Traffic {
    std::uint64_t to_device = 0, from_device = 0, on_device = 0;
  };
  Traffic traffic() const;
  std::size_t live_device_bytes() const;  // the application's among them
  std::size_t live_pinned_bytes() const;
  std::size_t pieces_done() const;
  std::size_t live_streams() const;

  // Runtime
  pccl::device::Location locate(const void* at) override;
  std::string describe(int error) override;
  int allocate(int gpu, std::size_t bytes, void** memory) override;
  void free(int gpu, void* memory) override;
  int allocate_pinned(int gpu, std::size_t bytes, void** memory) override;
  void free_pinned(int gpu, void* memory) override;
  int make_stream(int gpu, pccl::device::Stream* stream) override;
  void destroy_stream(int gpu, pccl::device::Stream stream) override;
  int follow(int gpu, pccl::device::Stream stream, pccl::device::Stream other) override;
  int wait(int gpu, pccl::device::Stream stream) override;
  int query(int gpu, pccl::device::Stream stream) override;
  int call(int gpu, pccl::device::Stream stream, void (*function)(void*), void* argument) override;
  int copy(int gpu, pccl::device::Stream stream, void* to, const void* from,
           std::size_t bytes) override;
  int load_reduce(int gpu, pccl::RedOp op, pccl::DataType type) override;
  int load_quantize(int, pccl::DataType, pccl::Code) override { return 0; }
  int reduce(int gpu, pccl::device::Stream stream, pccl::RedOp op, pccl::DataType type, void* out,
             const void* a, const void* b, std::size_t count) override;
  int finalize(int gpu, pccl::device::Stream stream, pccl::RedOp op, pccl::DataType type,
               void* data, std::size_t count, std::uint32_t world_size) override;
  int quantize(int gpu, pccl::device::Stream stream, pccl::DataType type, pccl::Code code,
               const pccl::kernels::cuda::QuantizeStep& step) override;
  int dequantize(int gpu, pccl::device::Stream stream, pccl::DataType type, pccl::Code code,
                 const pccl::kernels::cuda::DequantizeStep& step) override;
  int digest(int gpu, pccl::device::Stream stream, const pccl::kernels::cuda::DigestJob* jobs,
             std::size_t count, std::uint8_t* octets, const std::byte* secret) override;

 private:
  static constexpr int who_asks_so_often_waits = 400;
  static constexpr int invalid_value = 1, broken = 719;
  static constexpr int capture_unsupported = 900, capture_implicit = 906;
  enum class Kind : std::uint8_t { device, managed, pinned };
  struct Stretch {
    std::unique_ptr<std::byte[]> bytes;
    std::size_t size = 0;
    Kind kind = Kind::device;
    int gpu = 0;
  };
  struct Queue;
  struct Piece {
    std::function<void()> work;
    std::shared_ptr<Queue> after;  // once so many pieces of it have been done
    std::uint64_t count = 0;
  };
  struct Queue {
    int gpu = 0;
    std::deque<Piece> pieces;
    std::uint64_t put = 0, done = 0;
    bool held = false, busy = false;
    int asked = 0;  // whether it has ended, since something has been done
  };

  struct Use {  // of memory, by work
    const void* at;
    std::size_t bytes;
  };
  std::unique_lock<std::mutex> entered() const;  // by a call of the Runtime

  // The lock is held.
  std::byte* keep(std::size_t bytes, Kind kind, int gpu);
  const Stretch* find(const void* at) const;
  bool on_gpu(int gpu, const Use& use) const;
  std::shared_ptr<Queue> queue(int gpu, pccl::device::Stream stream);
  std::shared_ptr<Queue> next();
  int put_piece(int gpu, pccl::device::Stream stream, std::function<void()> work);
  int put_kernel(int gpu, pccl::device::Stream stream, const std::vector<Use>& uses,
                 std::function<void()> work);
  std::function<void()> watched(std::vector<Use> uses, std::function<void()> work);
  std::size_t live(Kind kind) const;

  bool step(std::unique_lock<std::mutex>& lock);
  void work();

  const Worker worker_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  pccl::Rng rng_;
  std::map<std::uintptr_t, Stretch> memory_;
  std::map<std::pair<int, pccl::device::Stream>, std::shared_ptr<Queue>> queues_;
  std::uintptr_t next_stream_ = 16;
  std::atomic<std::size_t> allocations_left_ = SIZE_MAX;
  std::size_t pieces_done_ = 0;
  std::size_t waits_ = 0;  // calls that have found work that is not done
  Traffic traffic_;
  std::set<pccl::device::Stream> not_followed_;
  std::set<int> not_loading_;                  // GPUs
  std::map<int, std::size_t> copies_to_fail_;  // by GPU: the next is 0
  std::set<std::tuple<int, pccl::RedOp, pccl::DataType>> loaded_;
  std::optional<pccl::device::Stream> captured_;
  bool capture_is_good_ = true;
  bool broken_ = false, stopping_ = false;
  std::atomic<bool> pins_ = true, frees_wait_ = false;
  std::thread thread_;
};

// Counts as CUDA for as long as it lives.
class InstalledRuntime {
 public:
  explicit InstalledRuntime(FakeRuntime::Worker worker = FakeRuntime::Worker::thread,
                            std::uint64_t seed = 1)
      : fake_(worker, seed) {
    pccl::device::install(&fake_);
  }
  ~InstalledRuntime() { pccl::device::install(nullptr); }
  InstalledRuntime(const InstalledRuntime&) = delete;
  InstalledRuntime& operator=(const InstalledRuntime&) = delete;

  FakeRuntime* operator->() { return &fake_; }
  FakeRuntime& operator*() { return fake_; }

 private:
  FakeRuntime fake_;
};

}  // namespace pccl_test
