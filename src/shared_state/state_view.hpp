// The tensors of a shared state where the user keeps them, and a block's bytes among them. What
// lies on a GPU only device_copies.hpp and device_digests.hpp read and write.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/digest.hpp"
#include "device/gpu.hpp"
#include "kernels/digest.hpp"
#include "shared_state/block_map.hpp"

namespace pccl::shared_state {

struct TensorView {
  std::byte* data = nullptr;
  std::uint64_t bytes = 0;
  std::shared_ptr<device::Gpu> gpu = {};  // whose memory it is; null: the host's
};

// The array, and the memory that it names, outlive who works with it.
using StateView = std::span<const TensorView>;

std::optional<BlockMap> cut_into_blocks(StateView state, std::string& why);

// One of the GPUs that tensors lie on; null: all of them are memory of the host.
const device::Gpu* gpu_of(StateView state);
// All of the block, or a part of it.
bool on_gpu(StateView state, const BlockMap& map, std::uint32_t block);

inline std::span<std::byte> bytes_of(StateView state, const Piece& piece) {
  return {state[piece.tensor].data + piece.offset, piece.length};
}

// For blocks in memory of the host.

// Copies bytes [offset, offset + into.size()) of the block.
void gather(StateView state, const BlockMap& map, std::uint32_t block, std::uint32_t offset,
            std::span<std::byte> into);
// Puts the bytes of a whole block in place.
void scatter(StateView state, const BlockMap& map, std::uint32_t block,
             std::span<const std::byte> bytes);

Digest digest_of_block(StateView state, const BlockMap& map, std::uint32_t block,
                       kernels::Digester& digester);

}  // namespace pccl::shared_state
