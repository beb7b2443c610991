// Serves a shared state to whoever fetches it: digests of its blocks, and blocks. Lanes (real or
// simulated) push requests in and pull answers out; it never waits and owns no socket. One thread
// at a time. Nothing changes the state while it is served.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/digest.hpp"
#include "base/ids.hpp"
#include "shared_state/block_map.hpp"
#include "shared_state/frames.hpp"
#include "shared_state/state_view.hpp"

namespace pccl::shared_state {

class Holder {
 public:
  // All three outlive the holder.
  Holder(StateView state, const BlockMap& map, std::span<const Digest> digests);

  // False and a reason: the receiver breaks the protocol.
  bool request_arrived(const PeerId& receiver, const Request& request, std::string& why);
  // No link to it is left: what it has asked for is void.
  void receiver_lost(const PeerId& receiver) { receivers_.erase(receiver); }

  // Any lane to the receiver may take its next answer, several at a time.
  bool has_answer(const PeerId& receiver) const;
  std::optional<Answer> next_answer(const PeerId& receiver);
  // Its payload from `offset` on, not necessarily to the end; never empty before that. It lies in
  // the user's memory or, for a block of several tensors, in a buffer that the next call may use
  // again.
  std::span<const std::byte> payload(const Answer& answer, std::size_t offset);
  void answer_sent(const PeerId& receiver, const Answer& answer);

  std::uint64_t bytes_sent() const { return bytes_sent_; }  // of blocks

 private:
  struct Receiver {
    std::deque<Request> queued;
    std::uint32_t being_sent = 0;
  };
  std::span<const std::byte> gathered(std::uint32_t block, std::uint32_t offset,
                                      std::uint32_t length);

  StateView state_;
  const BlockMap& map_;
  std::span<const Digest> digests_;
  std::map<PeerId, Receiver> receivers_;
  std::uint64_t bytes_sent_ = 0;

  // A window of a packed block, so that lanes that take a little at a time do not gather it anew.
  std::vector<std::byte> window_;
  std::optional<std::uint32_t> window_block_;
  std::uint32_t window_offset_ = 0;
};

}  // namespace pccl::shared_state
