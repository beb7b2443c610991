// The way back for an in-place op: every stretch of the buffer is copied aside just before it is
// overwritten.
#pragma once

#include <cstddef>
#include <vector>

#include "collective/block_pool.hpp"

namespace pccl::collective {

class Rollback {
 public:
  explicit Rollback(BlockPool& pool) : pool_(pool) {}

  void save(std::byte* at, std::size_t bytes);  // at most a segment
  void restore() const;  // the buffer is as it was before the first save; any thread
  void forget();         // gives the copies back to the pool

 private:
  struct Saved {
    std::byte* at;
    std::size_t bytes;
    BlockPool::Block copy;
  };
  BlockPool& pool_;
  std::vector<Saved> saved_;
};

}  // namespace pccl::collective
