// The shared state of a simulated application: a few tensors, so that some blocks are parts of one
// and one block is packed. Its content follows from the group and the revision.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/rng.hpp"
#include "node/prepared_state.hpp"

namespace pccl::sim {

class SimState {
 public:
  SimState() {
    for (std::size_t i = 0; i < sizes.size(); ++i) tensors_[i].resize(sizes[i]);
  }

  // What a group's state is at a revision, but for one byte that `seed` decides.
  void fill(Group group, std::uint64_t revision, std::uint64_t seed = 0) {
    Rng rng(group.value * 1000 + revision);
    for (auto& tensor : tensors_) {
      const std::uint64_t word = rng.next();
      for (std::size_t at = 0; at < tensor.size(); at += 64 + word % 512)
        tensor[at] = static_cast<std::byte>(word >> (at % 56));
    }
    tensors_[0][seed % tensors_[0].size()] ^= static_cast<std::byte>(seed % 251);
  }

  std::vector<node::StateEntry> entries() {
    std::vector<node::StateEntry> entries;
    for (std::size_t i = 0; i < sizes.size(); ++i)
      entries.push_back(
          {"tensor" + std::to_string(i), tensors_[i].data(), sizes[i], DataType::uint8, false});
    return entries;
  }

  bool overlaps(const std::byte* at, std::size_t bytes) const {
    for (const auto& tensor : tensors_)
      if (at < tensor.data() + tensor.size() && tensor.data() < at + bytes) return true;
    return false;
  }

  node::Mixture mixture;
  bool broken_off = false;  // and not restored since

 private:
  static constexpr std::array<std::size_t, 4> sizes{(256 << 10) + 5, 40, 1000, (256 << 10) + 77};
  std::array<std::vector<std::byte>, sizes.size()> tensors_;
};

}  // namespace pccl::sim
