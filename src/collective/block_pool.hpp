// Blocks of memory of one segment's size, kept between ops because fresh pages cost ten times the
// copy.
#pragma once

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "base/limits.hpp"

namespace pccl::collective {

// Where a pool has its blocks from.
class BlockSource {
 public:
  virtual ~BlockSource() = default;
  virtual std::byte* allocate() = 0;  // segment_bytes; throws std::bad_alloc
  virtual void free(std::byte* block) = 0;
};

class BlockPool {
 public:
  // Freed blocks up to `kept_bytes` stay in the pool. Not thread-safe; the pool outlives its
  // blocks, and the source the pool. Without one blocks are of the heap.
  explicit BlockPool(std::size_t kept_bytes, BlockSource& source = heap())
      : kept_blocks_(kept_bytes / limits::segment_bytes), source_(source) {}
  ~BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  static BlockSource& heap();

  class Block {
   public:
    Block() = default;
    Block(Block&& other) noexcept
        : memory_(std::exchange(other.memory_, nullptr)), pool_(other.pool_) {}
    Block& operator=(Block&& other) noexcept;
    ~Block() { give_back(); }

    std::byte* data() const { return memory_; }
    explicit operator bool() const { return memory_ != nullptr; }

   private:
    friend class BlockPool;
    Block(std::byte* memory, BlockPool* pool) : memory_(memory), pool_(pool) {}
    void give_back();

    std::byte* memory_ = nullptr;
    BlockPool* pool_ = nullptr;
  };

  Block take();  // segment_bytes long, content unspecified, aligned for every element type
  std::size_t blocks_in_use() const { return in_use_; }

 private:
  std::size_t kept_blocks_;
  BlockSource& source_;
  std::size_t in_use_ = 0;
  std::vector<std::byte*> free_;
};

}  // namespace pccl::collective
