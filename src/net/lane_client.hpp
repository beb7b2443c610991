// What a lane asks of the peer it serves. The lane itself is stateless about buffers: it asks anew
// before each read and write where the bytes are, so that a cancelled op's buffers are never
// touched again.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "wire/bulk.hpp"

namespace pccl::net {

class LaneClient {
 public:
  virtual ~LaneClient() = default;

  // Sending: the next segment or credit for this direction, then its payload from `offset` on
  // (empty: the op is void, the lane sends zeros), then the news that the kernel has all of it.
  virtual std::optional<wire::BulkHeader> next_frame() = 0;
  virtual std::span<const std::byte> payload(const wire::BulkHeader& frame, std::size_t offset) = 0;
  virtual void frame_sent(const wire::BulkHeader& frame) = 0;

  // Receiving: a segment or credit. False and a reason: it breaks the protocol. Then where its
  // payload from `offset` on goes (empty: discard), then the news that all of it has come.
  virtual bool frame_begins(const wire::BulkHeader& frame, std::string& why) = 0;
  virtual std::span<std::byte> destination(const wire::BulkHeader& frame, std::size_t offset) = 0;
  virtual void frame_arrived(const wire::BulkHeader& frame) = 0;

  // Uses the next bytes of the payload, from `offset` on, where they lie in memory that the other
  // side shares (and may still change). How many; the others are read to their destination.
  virtual std::size_t absorb(const wire::BulkHeader&, std::size_t /*offset*/,
                             std::span<const std::byte>) {
    return 0;
  }
};

}  // namespace pccl::net
