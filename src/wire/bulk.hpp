// The frames of a lane after its handshake: a header of fixed size, then the payload.
// Little-endian. Segments and credit pass between ring neighbours, blocks and digests between a
// holder of the shared state and who fetches it, load between two peers who measure a path.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/ids.hpp"

namespace pccl::wire {

enum class BulkKind : std::uint8_t {
  segment = 1,  // sender → receiver: elements of the op at `position` of its schedule
  credit = 2,   // receiver → sender: you may send the op's positions below `position`
  ping = 3,     // either way: answer with a pong
  pong = 4,
  block_wanted = 5,    // fetcher → holder: send the block numbered `position`
  block = 6,           // holder → fetcher: its bytes
  digests_wanted = 7,  // fetcher → holder: send `length` digests of the list, from `position` on
  digests = 8,         // holder → fetcher: these, 16 bytes each
  load_wanted = 9,     // who measures a path → who sends on it: fill it, until the lane ends
  load = 10,           // the other way: bytes without a meaning
};

struct BulkHeader {
  BulkKind kind = BulkKind::ping;
  OpKey op;
  std::uint32_t position = 0;
  std::uint32_t length = 0;  // of the payload in bytes, where the kind has one; else 0

  std::size_t payload_bytes() const { return kind == BulkKind::digests_wanted ? 0 : length; }
};

inline constexpr std::size_t bulk_header_bytes = 32;
using BulkHeaderBytes = std::array<std::byte, bulk_header_bytes>;

BulkHeaderBytes encode(const BulkHeader& header);
// Nothing when the kind is unknown, the length over the limit of the kind, or a reserved byte is
// not zero.
std::optional<BulkHeader> decode_bulk(std::span<const std::byte, bulk_header_bytes> bytes);

}  // namespace pccl::wire
