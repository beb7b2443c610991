// Memory of the host for blocks on their way: in, where they cannot go straight into the user's
// tensors; out, where they come from a GPU. It is promised when a block is asked for and taken when
// the block begins to arrive.
#pragma once

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "device/host_memory.hpp"

namespace pccl::shared_state {

class ScratchPool {
 public:
  // `blocks` are shared by all who ask, besides the few that each has of its own. With a GPU
  // they are memory that its GPUs copy from and to.
  ScratchPool(std::size_t block_bytes, std::size_t blocks, const device::Gpu* gpu = nullptr)
      : block_bytes_(block_bytes), shared_blocks_(blocks), gpu_(gpu) {}
  ScratchPool(const ScratchPool&) = delete;  // promises point to it
  ScratchPool& operator=(const ScratchPool&) = delete;

  class Promise {
   public:
    Promise() = default;
    Promise(Promise&& other) noexcept
        : pool_(std::exchange(other.pool_, nullptr)), memory_(std::move(other.memory_)) {}
    Promise& operator=(Promise&& other) noexcept {
      std::swap(pool_, other.pool_);
      std::swap(memory_, other.memory_);
      return *this;
    }
    ~Promise() { give_back(); }

    explicit operator bool() const { return pool_ != nullptr; }
    std::span<std::byte> bytes();  // takes the memory at the first call
    void give_back();

   private:
    friend class ScratchPool;
    explicit Promise(ScratchPool* pool) : pool_(pool) {}

    ScratchPool* pool_ = nullptr;
    device::HostMemory memory_;
  };

  // Whether somebody who holds `held` promises may have one more: each of `sharers` has a fair part
  // of the shared blocks, and a minimum whatever the others hold, so that a slow one holds up
  // nobody.
  bool available(std::size_t held, std::size_t sharers) const;
  Promise promise();

 private:
  static constexpr std::size_t private_minimum = 2;

  std::size_t block_bytes_;
  std::size_t shared_blocks_;
  const device::Gpu* gpu_;
  std::size_t promised_ = 0;
  std::vector<device::HostMemory> kept_;  // fresh pages cost ten times the copy
};

}  // namespace pccl::shared_state
