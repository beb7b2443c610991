#include "collective/block_pool.hpp"

#include <cstdlib>
#include <new>
#include <utility>

namespace pccl::collective {

namespace {
constexpr std::size_t alignment = 64;  // a cache line, and the widest vector register
}

void BlockPool::Block::Free::operator()(std::byte* memory) const {
  std::free(memory);
}

BlockPool::Block& BlockPool::Block::operator=(Block&& other) noexcept {
  if (this != &other) {
    give_back();
    memory_ = std::move(other.memory_);
    pool_ = other.pool_;
  }
  return *this;
}

void BlockPool::Block::give_back() {
  if (memory_ == nullptr) return;
  --pool_->in_use_;
  if (pool_->free_.size() < pool_->kept_blocks_) pool_->free_.push_back(std::move(memory_));
  memory_.reset();
}

BlockPool::Block BlockPool::take() {
  Block::Memory memory;
  if (free_.empty()) {
    memory.reset(static_cast<std::byte*>(std::aligned_alloc(alignment, limits::segment_bytes)));
    if (memory == nullptr) throw std::bad_alloc();
  } else {
    memory = std::move(free_.back());
    free_.pop_back();
  }
  ++in_use_;
  return {std::move(memory), this};
}

}  // namespace pccl::collective
