// Headers of bulk frames: refused, or exactly what an encoder writes.
#include <algorithm>

#include "base/limits.hpp"
#include "input.hpp"
#include "wire/bulk.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pccl;
  for (auto bytes = std::as_bytes(std::span(data, size)); bytes.size() >= wire::bulk_header_bytes;
       bytes = bytes.subspan(wire::bulk_header_bytes)) {
    const auto one = bytes.first<wire::bulk_header_bytes>();
    const auto header = wire::decode_bulk(one);
    if (!header) continue;
    const bool carries =
        header->kind == wire::BulkKind::segment || header->kind == wire::BulkKind::block ||
        header->kind == wire::BulkKind::digests || header->kind == wire::BulkKind::load;
    fuzz::require(carries || header->payload_bytes() == 0, "the other kinds have no payload");
    fuzz::require(header->payload_bytes() <= limits::state_block_bytes, "a block is the longest");
    fuzz::require(
        header->kind != wire::BulkKind::segment || header->length <= limits::segment_bytes,
        "a payload is a segment at most");
    fuzz::require(header->kind != wire::BulkKind::load || header->length <= limits::load_bytes,
                  "load comes in small pieces");
    fuzz::require(std::ranges::equal(wire::encode(*header), one),
                  "decode, then encode gives the same bytes");
  }
  return 0;
}
