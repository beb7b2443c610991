#include "shared_state/digest_state.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <optional>
#include <system_error>
#include <thread>

#include "base/status.hpp"
#include "shared_state/device_digests.hpp"

namespace pccl::shared_state {

namespace {

// Starting a thread costs as much as reading about a tenth of this.
constexpr std::uint64_t bytes_worth_a_thread = 8 << 20;
// Blocks that a thread takes at once.
constexpr std::uint32_t blocks_per_turn = 4;

std::uint64_t bytes_of_host(StateView state) {
  std::uint64_t bytes = 0;
  for (const TensorView& tensor : state)
    if (tensor.gpu == nullptr) bytes += tensor.bytes;
  return bytes;
}

void put_little_endian(std::span<std::byte, 8> into, std::uint64_t number) {
  for (std::byte& octet : into) {
    octet = static_cast<std::byte>(number & 0xff);
    number >>= 8;
  }
}

}  // namespace

StateDigest digest_state(StateView state, const BlockMap& map, unsigned threads) {
  StateDigest result;
  result.blocks.resize(map.blocks());
  std::optional<DeviceDigests> on_gpus;
  if (gpu_of(state) != nullptr) on_gpus.emplace(state, map);
  std::atomic<std::uint32_t> next{0};
  const auto work = [&] {
    kernels::Digester digester;
    for (;;) {
      const std::uint32_t begin = next.fetch_add(blocks_per_turn, std::memory_order_relaxed);
      if (begin >= map.blocks()) return;
      const std::uint32_t end = std::min(map.blocks(), begin + blocks_per_turn);
      for (std::uint32_t block = begin; block < end; ++block)
        if (!on_gpus || !on_gpu(state, map, block))
          result.blocks[block] = digest_of_block(state, map, block, digester);
    }
  };
  {
    const std::uint64_t useful = bytes_of_host(state) / bytes_worth_a_thread;
    std::vector<std::jthread> helpers;
    try {
      for (unsigned helper = 1; helper < threads && helper < useful; ++helper)
        helpers.emplace_back(work);
    } catch (const std::system_error&) {
      // The system has no thread to give: fewer do it.
    }
    work();
  }
  if (on_gpus) on_gpus->finish(result.blocks);
  result.content = content_digest(map, result.blocks);
  return result;
}

Digest content_digest(const BlockMap& map, std::span<const Digest> blocks) {
  PCCL_INVARIANT(blocks.size() == map.blocks());
  std::array<std::byte, 16> head;
  put_little_endian(std::span(head).first<8>(), map.blocks());
  put_little_endian(std::span(head).last<8>(), map.block_bytes());
  kernels::Digester digester;
  digester.add(head);
  digester.add(std::as_bytes(blocks));
  return digester.finish();
}

}  // namespace pccl::shared_state
