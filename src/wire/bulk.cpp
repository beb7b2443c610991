#include "wire/bulk.hpp"

#include <algorithm>

#include "base/limits.hpp"
#include "wire/codec.hpp"

namespace pccl::wire {

namespace {

std::size_t longest(BulkKind kind) {
  switch (kind) {
    case BulkKind::segment:
      return limits::segment_bytes;
    case BulkKind::block:
      return limits::state_block_bytes;
    case BulkKind::digests:
      return limits::digests_bytes;
    case BulkKind::load:
      return limits::load_bytes;
    case BulkKind::digests_wanted:
      return limits::digests_bytes / sizeof(Digest);
    default:
      return 0;
  }
}

}  // namespace

BulkHeaderBytes encode(const BulkHeader& header) {
  Bytes bytes;
  bytes.reserve(bulk_header_bytes);
  Encoder encoder(bytes);
  encoder.put(header.kind);
  encoder.put(std::array<std::uint8_t, 3>{});
  encoder.put(header.op);
  encoder.put(header.position);
  encoder.put(header.length);
  BulkHeaderBytes result;
  std::copy(bytes.begin(), bytes.end(), result.begin());
  return result;
}

std::optional<BulkHeader> decode_bulk(std::span<const std::byte, bulk_header_bytes> bytes) {
  Decoder decoder(bytes);
  BulkHeader header;
  std::uint8_t kind = 0;
  std::array<std::uint8_t, 3> reserved{};
  decoder.get(kind);
  decoder.get(reserved);
  decoder.get(header.op);
  decoder.get(header.position);
  decoder.get(header.length);
  if (kind < 1 || kind > 10 || reserved != std::array<std::uint8_t, 3>{}) return std::nullopt;
  header.kind = static_cast<BulkKind>(kind);
  if (header.length > longest(header.kind)) return std::nullopt;
  return header;
}

}  // namespace pccl::wire
