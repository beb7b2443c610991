// Serves a shared state to whoever fetches it: digests of its blocks, and blocks. Lanes (real or
// simulated) push requests in and pull answers out; it owns no socket, and waits only when it goes,
// for copies under way. One thread at a time. Nothing changes the state while it is served. What is
// asked for of a GPU's memory is copied to the host while the answers before it are sent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/digest.hpp"
#include "base/ids.hpp"
#include "shared_state/block_map.hpp"
#include "shared_state/device_copies.hpp"
#include "shared_state/frames.hpp"
#include "shared_state/scratch.hpp"
#include "shared_state/state_view.hpp"

namespace pccl::shared_state {

class Holder {
 public:
  // All three outlive the holder. `wake` is called by any thread when GPUs have done something:
  // there may be answers.
  Holder(StateView state, const BlockMap& map, std::span<const Digest> digests,
         std::function<void()> wake = nullptr);

  // False and a reason: the receiver breaks the protocol.
  bool request_arrived(const PeerId& receiver, const Request& request, std::string& why);
  // No link to it is left: what it has asked for is void.
  void receiver_lost(const PeerId& receiver);

  // Any lane to the receiver may take its next answer, several at a time. What has to come from a
  // GPU is an answer once it has come.
  bool has_answer(const PeerId& receiver) const;
  std::optional<Answer> next_answer(const PeerId& receiver);
  // Its payload from `offset` on, not necessarily to the end; never empty before that. It lies in
  // the user's memory, in a copy or, for a block of several tensors, in a buffer that the next
  // call may use again.
  std::span<const std::byte> payload(const Answer& answer, std::size_t offset);
  void answer_sent(const PeerId& receiver, const Answer& answer);

  // Why GPUs give no answers any more; empty: nothing is wrong. Ask a few times a second: of an
  // error nobody is woken.
  void check_gpus() { copies_.check(); }
  const std::string& gpu_error() const { return copies_.error(); }

  std::uint64_t bytes_sent() const { return bytes_sent_; }  // of blocks

 private:
  struct Copy {  // of a block that lies on a GPU
    ScratchPool::Promise memory;
    DeviceCopies::Ticket copied;
  };
  struct Queued {
    Request request;
    bool on_gpu = false;
    std::optional<Copy> copy;  // of that: once there was memory
    bool ready() const { return !on_gpu || (copy && copy->copied.ended()); }
  };
  struct Sending {
    PeerId receiver;
    std::uint32_t block;
    Copy copy;
  };
  struct Receiver {
    std::deque<Queued> queued;
    std::uint32_t being_sent = 0;
  };
  void copy_ahead(const PeerId& id, Receiver& receiver);
  std::span<const std::byte> gathered(std::uint32_t block, std::uint32_t offset,
                                      std::uint32_t length);

  StateView state_;
  const BlockMap& map_;
  std::span<const Digest> digests_;
  bool gpus_;  // that tensors lie on
  ScratchPool memory_;
  std::map<PeerId, Receiver> receivers_;
  std::uint64_t bytes_sent_ = 0;

  // A window of a packed block, so that lanes that take a little at a time do not gather it anew.
  std::vector<std::byte> window_;
  std::optional<std::uint32_t> window_block_;
  std::uint32_t window_offset_ = 0;

  std::list<Sending> sending_;
  std::vector<Copy> abandoned_;  // not ended yet
  DeviceCopies copies_;          // the last: they end before their memory goes
};

}  // namespace pccl::shared_state
