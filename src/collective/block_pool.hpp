// Blocks of memory of one segment's size, kept between ops because fresh pages cost ten times the
// copy.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "base/limits.hpp"

namespace pccl::collective {

class BlockPool {
 public:
  // Freed blocks up to `kept_bytes` stay in the pool. Not thread-safe, and the pool outlives its
  // blocks.
  explicit BlockPool(std::size_t kept_bytes) : kept_blocks_(kept_bytes / limits::segment_bytes) {}

  class Block {
   public:
    Block() = default;
    Block(Block&& other) noexcept = default;
    Block& operator=(Block&& other) noexcept;
    ~Block() { give_back(); }

    std::byte* data() const { return memory_.get(); }
    explicit operator bool() const { return memory_ != nullptr; }

   private:
    friend class BlockPool;
    struct Free {
      void operator()(std::byte* memory) const;
    };
    using Memory = std::unique_ptr<std::byte, Free>;
    Block(Memory memory, BlockPool* pool) : memory_(std::move(memory)), pool_(pool) {}
    void give_back();

    Memory memory_;
    BlockPool* pool_ = nullptr;
  };

  Block take();  // segment_bytes long, content unspecified, aligned for every element type
  std::size_t blocks_in_use() const { return in_use_; }

 private:
  std::size_t kept_blocks_;
  std::size_t in_use_ = 0;
  std::vector<Block::Memory> free_;
};

}  // namespace pccl::collective
