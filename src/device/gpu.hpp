// What the library keeps on one GPU: streams of its own, and memory. All of it is lent, and kept
// for the next who asks. Any thread.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/limits.hpp"
#include "device/queue.hpp"
#include "device/runtime.hpp"

namespace pccl::device {

// Says what CUDA could not do, and why.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  Error(Runtime& runtime, int gpu, const std::string& what, int error);
};

class Gpu;

// Memory of a GPU, lent by it.
class Memory {
 public:
  Memory() = default;
  Memory(Memory&& other) noexcept { *this = std::move(other); }
  Memory& operator=(Memory&& other) noexcept {
    std::swap(gpu_, other.gpu_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Memory();

  std::byte* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  explicit operator bool() const { return data_ != nullptr; }

 private:
  friend class Gpu;
  Memory(std::shared_ptr<Gpu> gpu, std::byte* data, std::size_t bytes)
      : gpu_(std::move(gpu)), data_(data), bytes_(bytes) {}

  std::shared_ptr<Gpu> gpu_;
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

class Gpu : public std::enable_shared_from_this<Gpu> {
 public:
  // Of the runtime that is there; throws Error when there is none.
  static std::shared_ptr<Gpu> at(int ordinal);
  static void forget_all();  // for tests: nothing is lent

  Gpu(Runtime& runtime, int ordinal) : runtime_(runtime), ordinal_(ordinal) {}
  ~Gpu();
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;

  Runtime& runtime() const { return runtime_; }
  int ordinal() const { return ordinal_; }

  // Throws Error where the GPU has no more of it. What it had is unspecified.
  Memory memory(std::size_t bytes);
  // Why it can do nothing any more; empty: it can. Does not block.
  std::string failure();
  // Idle, and nobody else's while it is held. Who gives it back waits for its work, unless it may
  // linger.
  std::shared_ptr<Queue> queue();

 private:
  friend class Memory;
  void give_back(std::byte* data, std::size_t bytes);
  std::unique_ptr<Queue> take_idle();  // or null
  void give_back(std::unique_ptr<Queue> queue);

  Runtime& runtime_;
  const int ordinal_;
  std::mutex mutex_;
  std::multimap<std::size_t, std::byte*> kept_memory_;  // by its bytes
  std::size_t kept_bytes_ = 0;
  std::vector<std::unique_ptr<Queue>> idle_, busy_;
  std::vector<std::unique_ptr<Queue>> broken_;  // CUDA may still call what they were to call
};

}  // namespace pccl::device
