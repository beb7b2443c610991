#include "collective/rollback.hpp"

#include <cstring>

#include "base/mutant.hpp"

namespace pccl::collective {

void Rollback::save(std::byte* at, std::size_t bytes) {
  if (bytes == 0 || mutant(Mutant::missing_restore)) return;
  BlockPool::Block copy = pool_.take();
  std::memcpy(copy.data(), at, bytes);
  saved_.push_back({at, bytes, std::move(copy)});
}

void Rollback::restore() const {
  for (const Saved& saved : saved_) std::memcpy(saved.at, saved.copy.data(), saved.bytes);
}

void Rollback::forget() {
  saved_.clear();
}

}  // namespace pccl::collective
