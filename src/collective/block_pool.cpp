#include "collective/block_pool.hpp"

#include <cstdlib>
#include <new>
#include <utility>

namespace pccl::collective {

namespace {

constexpr std::size_t alignment = 64;  // a cache line, and the widest vector register

class Heap final : public BlockSource {
 public:
  std::byte* allocate() override {
    auto* const memory =
        static_cast<std::byte*>(std::aligned_alloc(alignment, limits::segment_bytes));
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
  }
  void free(std::byte* block) override { std::free(block); }
};

}  // namespace

BlockSource& BlockPool::heap() {
  static Heap heap;
  return heap;
}

BlockPool::~BlockPool() {
  for (std::byte* const memory : free_) source_.free(memory);
}

BlockPool::Block& BlockPool::Block::operator=(Block&& other) noexcept {
  if (this != &other) {
    give_back();
    memory_ = std::exchange(other.memory_, nullptr);
    pool_ = other.pool_;
  }
  return *this;
}

void BlockPool::Block::give_back() {
  if (memory_ == nullptr) return;
  --pool_->in_use_;
  if (pool_->free_.size() < pool_->kept_blocks_)
    pool_->free_.push_back(memory_);
  else
    pool_->source_.free(memory_);
  memory_ = nullptr;
}

BlockPool::Block BlockPool::take() {
  std::byte* memory = nullptr;
  if (free_.empty()) {
    memory = source_.allocate();
  } else {
    memory = free_.back();
    free_.pop_back();
  }
  ++in_use_;
  return {memory, this};
}

}  // namespace pccl::collective
