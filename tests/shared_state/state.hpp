// A shared state with memory of its own, for tests: every tensor in an allocation of its exact
// size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/rng.hpp"
#include "shared_state/digest_state.hpp"

namespace pccl::shared_state::test {

using Bytes = std::vector<std::byte>;
using Tensors = std::vector<Bytes>;

Bytes random_bytes(std::size_t count, Rng& rng);
// Of these sizes.
Tensors random_tensors(std::span<const std::uint64_t> sizes, Rng& rng);
// A mixture that meets every case of the packing rule: empty, tiny, just below, at and above a
// block, and large.
std::vector<std::uint64_t> mixed_sizes(std::size_t count, std::uint32_t block_bytes, Rng& rng);

class State {
 public:
  // Its tensors may be put somewhere else; `tensors` stays what they were made of.
  State(Tensors content, std::uint32_t block_bytes,
        const std::function<std::vector<TensorView>(std::vector<TensorView>)>& place = nullptr);
  State(const State&) = delete;

  Tensors tensors;
  std::vector<TensorView> views;
  BlockMap map;
  StateDigest digest;  // when it was made

  Bytes block(std::uint32_t index) const;
};

}  // namespace pccl::shared_state::test
