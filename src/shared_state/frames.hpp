// The frames between a holder of the shared state and who fetches it, as this room knows them
// (wire/bulk.hpp has their bytes). Every request gets one answer, in any order.
#pragma once

#include <cstdint>

#include "base/limits.hpp"

namespace pccl::shared_state {

enum class What : std::uint8_t {
  digests,  // digests [index, index + count) of the list of all blocks' digests
  block,    // the bytes of block `index`; count is 1
};

struct Request {
  What what = What::block;
  std::uint32_t index = 0;
  std::uint32_t count = 1;
};

struct Answer {
  What what = What::block;
  std::uint32_t index = 0;
  std::uint32_t length = 0;  // of the payload, in bytes
};

inline constexpr std::uint32_t digest_bytes = 16;
inline constexpr std::uint32_t digests_per_answer = limits::digests_bytes / digest_bytes;

// Requests of one fetcher that a holder queues; a fetcher never owes itself more answers than this
// from one holder. Enough for 64 MiB under way in blocks of the smallest size.
inline constexpr std::uint32_t requests_in_flight = 256;

}  // namespace pccl::shared_state
