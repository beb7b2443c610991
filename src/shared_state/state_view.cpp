#include "shared_state/state_view.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

namespace pccl::shared_state {

std::optional<BlockMap> cut_into_blocks(StateView state, std::string& why) {
  std::vector<std::uint64_t> tensor_bytes;
  tensor_bytes.reserve(state.size());
  for (const TensorView& tensor : state) tensor_bytes.push_back(tensor.bytes);
  return BlockMap::cut(tensor_bytes, why);
}

const device::Gpu* gpu_of(StateView state) {
  const auto found =
      std::ranges::find_if(state, [](const TensorView& tensor) { return tensor.gpu != nullptr; });
  return found == state.end() ? nullptr : found->gpu.get();
}

bool on_gpu(StateView state, const BlockMap& map, std::uint32_t block) {
  bool found = false;
  map.for_each_piece(block,
                     [&](const Piece& piece) { found |= state[piece.tensor].gpu != nullptr; });
  return found;
}

void gather(StateView state, const BlockMap& map, std::uint32_t block, std::uint32_t offset,
            std::span<std::byte> into) {
  const auto length = static_cast<std::uint32_t>(into.size());
  map.for_each_piece(block, offset, length, [&](const Piece& piece) {
    std::memcpy(into.data(), bytes_of(state, piece).data(), piece.length);
    into = into.subspan(piece.length);
  });
}

void scatter(StateView state, const BlockMap& map, std::uint32_t block,
             std::span<const std::byte> bytes) {
  map.for_each_piece(block, [&](const Piece& piece) {
    std::memcpy(bytes_of(state, piece).data(), bytes.data(), piece.length);
    bytes = bytes.subspan(piece.length);
  });
}

Digest digest_of_block(StateView state, const BlockMap& map, std::uint32_t block,
                       kernels::Digester& digester) {
  if (const auto piece = map.only_piece(block)) return kernels::digest(bytes_of(state, *piece));
  map.for_each_piece(block, [&](const Piece& piece) { digester.add(bytes_of(state, piece)); });
  return digester.finish();
}

}  // namespace pccl::shared_state
