// The frames of a lane after its handshake: a header of fixed size, then `length` bytes of payload
// for a segment and none for the others. Little-endian.
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
};

struct BulkHeader {
  BulkKind kind = BulkKind::ping;
  OpKey op;
  std::uint32_t position = 0;
  std::uint32_t length = 0;  // of the payload; 0 for all kinds but segment
};

inline constexpr std::size_t bulk_header_bytes = 32;
using BulkHeaderBytes = std::array<std::byte, bulk_header_bytes>;

BulkHeaderBytes encode(const BulkHeader& header);
// Nothing when the kind is unknown, the length is over a segment's, or a reserved byte is not zero.
std::optional<BulkHeader> decode_bulk(std::span<const std::byte, bulk_header_bytes> bytes);

}  // namespace pccl::wire
