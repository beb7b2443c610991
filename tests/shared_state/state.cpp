#include "shared_state/state.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <utility>

namespace pccl::shared_state::test {

Bytes random_bytes(std::size_t count, Rng& rng) {
  Bytes bytes(count);
  for (std::size_t at = 0; at < count; at += 8) {
    const std::uint64_t eight = rng.next();
    std::memcpy(bytes.data() + at, &eight, std::min<std::size_t>(8, count - at));
  }
  return bytes;
}

Tensors random_tensors(std::span<const std::uint64_t> sizes, Rng& rng) {
  Tensors tensors;
  for (const std::uint64_t bytes : sizes) tensors.push_back(random_bytes(bytes, rng));
  return tensors;
}

std::vector<std::uint64_t> mixed_sizes(std::size_t count, std::uint32_t block_bytes, Rng& rng) {
  std::vector<std::uint64_t> sizes;
  for (std::size_t tensor = 0; tensor < count; ++tensor) {
    const std::uint64_t block = block_bytes;
    const std::uint64_t choices[] = {
        0,     1,         rng.below(16),        rng.below(block),          block - 1,
        block, block + 1, rng.below(8 * block), block * (1 + rng.below(5))};
    sizes.push_back(choices[rng.below(std::size(choices))]);
  }
  return sizes;
}

State::State(Tensors content, std::uint32_t block_bytes,
             const std::function<std::vector<TensorView>(std::vector<TensorView>)>& place)
    : tensors(std::move(content)) {
  std::vector<std::uint64_t> sizes;
  for (Bytes& tensor : tensors) {
    tensor.shrink_to_fit();
    views.push_back({tensor.data(), tensor.size()});
    sizes.push_back(tensor.size());
  }
  std::string why;
  map = BlockMap::cut(sizes, why, block_bytes).value();
  digest = digest_state(views, map, 1);
  if (place) views = place(views);
}

Bytes State::block(std::uint32_t index) const {
  Bytes bytes(map.length(index));
  gather(views, map, index, 0, bytes);
  return bytes;
}

}  // namespace pccl::shared_state::test
