#include "shared_state/scratch.hpp"

#include <algorithm>

namespace pccl::shared_state {

bool ScratchPool::available(std::size_t held, std::size_t sharers) const {
  if (held < private_minimum) return true;
  const std::size_t part = shared_blocks_ / std::max<std::size_t>(1, sharers);
  return held < part && promised_ < shared_blocks_;
}

ScratchPool::Promise ScratchPool::promise() {
  ++promised_;
  return Promise(this);
}

std::span<std::byte> ScratchPool::Promise::bytes() {
  if (memory_ == nullptr) {
    if (pool_->kept_.empty()) {
      memory_ = device::host_memory(pool_->gpu_, pool_->block_bytes_);
    } else {
      memory_ = std::move(pool_->kept_.back());
      pool_->kept_.pop_back();
    }
  }
  return {memory_.get(), pool_->block_bytes_};
}

void ScratchPool::Promise::give_back() {
  if (pool_ == nullptr) return;
  if (memory_ != nullptr) pool_->kept_.push_back(std::move(memory_));
  --pool_->promised_;
  pool_ = nullptr;
}

}  // namespace pccl::shared_state
