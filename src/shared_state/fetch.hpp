// Makes a state equal to the elected one, from several holders at once. First the list of the
// elected blocks' digests comes from one holder, and is checked against the content digest that the
// peers have elected. Then the blocks that differ are asked for, each holder taking the next as
// soon as it owes less than its window; so a fast one takes more. Every block is checked when it
// has come. What a lost or lying holder owes is asked of the others, and at the end those without
// work also ask for what a slow one still owes: the first copy counts.
//
// Lanes (real or simulated) pull requests from it and push answers into it; it never waits and owns
// no socket. One thread at a time. A block of one tensor is received where the tensor lies; it is
// half-written until it is verified. A packed block is put in place as a whole, and so is one of a
// GPU's memory: it is received and verified on the host, and copied while others arrive.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/digest.hpp"
#include "base/ids.hpp"
#include "base/time.hpp"
#include "shared_state/block_map.hpp"
#include "shared_state/device_copies.hpp"
#include "shared_state/digest_list.hpp"
#include "shared_state/frames.hpp"
#include "shared_state/request_window.hpp"
#include "shared_state/scratch.hpp"
#include "shared_state/state_view.hpp"
#include "shared_state/wanted_blocks.hpp"

namespace pccl::shared_state {

struct LostSource {
  PeerId source;
  std::string why;
};

struct FetchProgress {
  std::uint64_t bytes_wanted = 0;    // of the blocks that differ; 0 before the list is here
  std::uint64_t bytes_verified = 0;  // of them
  // Of all blocks that came whole: the verified ones, the wrong ones and second copies.
  std::uint64_t bytes_received = 0;
  std::uint64_t duplicates = 0;  // blocks that came when they were verified already
};

class Fetch {
 public:
  // `state`, `map` and `own`, the digests of the state as it is now, outlive the fetch. `wake` is
  // called by any thread when GPUs have done something: call check_gpus() soon.
  Fetch(StateView state, const BlockMap& map, std::span<const Digest> own, const Digest& elected,
        std::function<void()> wake = nullptr);

  // A holder that can be asked, with no frame of an earlier link to it under way.
  void add_source(const PeerId& source);
  // No link to it is left, or is trusted.
  void source_lost(const PeerId& source);
  std::size_t sources() const { return sources_.size(); }
  // Holders that were given up for what they sent, since the last call: close the links to them.
  std::vector<LostSource> take_dropped();
  // Holders that owe something and have not sent a byte of it for longer than the limit, or the
  // list of digests not within ten times the limit. What has happened between two calls counts as
  // of the second: call it a few times per limit. It drops nobody.
  std::vector<LostSource> stalled(Instant now, Duration limit);
  // This process itself has stood still.
  void grant_fresh_deadlines(Instant now);

  // ---- the lanes to one holder
  // Whatever arrives, and whoever is lost, may give every source something to ask for; so may time,
  // at the end: ask again every hundred milliseconds or so.
  bool has_request(const PeerId& source, Instant now) const;
  std::optional<Request> next_request(const PeerId& source, Instant now);

  // False and a reason: the holder breaks the protocol.
  bool answer_begins(const PeerId& source, const Answer& answer, std::string& why);
  // Where its payload from `offset` on goes, to the end; empty: discard. Asked anew before each
  // read, as the answer may become void at any time.
  std::span<std::byte> destination(const PeerId& source, const Answer& answer, std::size_t offset);
  void answer_arrived(const PeerId& source, const Answer& answer, Instant now);

  // ---- GPUs
  // What has been copied to them by now. Call it a few times a second, too: of an error nobody is
  // woken.
  void check_gpus();
  // Blocks until all that has come is where it belongs.
  void wait_for_gpus();
  // Why no block gets to its GPU any more, and the fetch will not finish; empty: nothing is wrong.
  const std::string& gpu_error() const { return copies_.error(); }

  // Every block is the elected one.
  bool finished() const { return finished_; }
  // The list of the elected blocks' digests; only when finished.
  std::span<const Digest> elected_digests() const { return blocks_ ? list_.digests() : own_; }
  FetchProgress progress() const;
  // The state may be neither what it was nor the elected one.
  bool half_way() const { return !finished_ && blocks_ && blocks_->any_changed(); }
  // Tensors that have changed and are not the elected ones; lowest first, empty when finished.
  std::vector<std::uint32_t> incomplete_tensors() const;

 private:
  enum class Place : std::uint8_t { nowhere, user_memory, scratch };
  struct Owed {
    Request request;
    std::uint32_t length = 0;  // of the answer
    Instant asked_at{};
    unsigned list_round = 0;
    bool copy = false;   // somebody else owes it, too
    bool begun = false;  // half-way on a lane
    Place place = Place::nowhere;
    ScratchPool::Promise scratch;
    std::size_t reached = 0;  // offset of the last read
  };
  struct Source {
    explicit Source(std::uint32_t block_bytes) : window(block_bytes) {}
    std::vector<Owed> owed;  // in the order of asking
    RequestWindow window;
    std::optional<Duration> typical_wait;  // from a request to the whole block, smoothed
    std::uint64_t signs = 0;               // of life
    std::uint64_t signs_seen = 0;
    Instant silent_since{};
  };
  struct Landing {  // a verified block on its way from scratch to GPUs
    std::uint32_t block = 0;
    ScratchPool::Promise scratch;
    DeviceCopies::Ticket copied;
  };
  struct Choice {
    std::uint32_t block = 0;
    bool copy = false;
    bool needs_scratch = false;
  };

  Source* find(const PeerId& source);
  const Source* find(const PeerId& source) const;
  static Owed* find_owed(Source& source, const Answer& answer);
  bool may_ask_list(const PeerId& source, Instant now) const;
  std::optional<Choice> choose(const Source& source, Instant now) const;
  std::optional<Choice> choose_copy(const Source& source, Instant now) const;
  bool scratch_available(const Source& source) const;
  bool needs_scratch(std::uint32_t block) const;
  void find_place(Source& source, Owed& owed);
  std::span<std::byte> place_of(Owed& owed);
  void list_arrived(const PeerId& source, const Owed& owed);
  void block_arrived(const PeerId& source, Owed owed);
  void put_in_place(Owed& owed);
  void give_up(const Owed& owed);
  void drop(const PeerId& source, std::string why);

  StateView state_;
  const BlockMap& map_;
  std::span<const Digest> own_;
  DigestList list_;
  std::optional<PeerId> list_source_;
  Instant list_asked_at_{};
  unsigned list_round_ = 0;             // of asking one source after the other
  std::optional<WantedBlocks> blocks_;  // once the list is here
  const device::Gpu* gpu_;              // one that tensors lie on, or null
  ScratchPool scratch_;
  std::map<PeerId, Source> sources_;
  std::vector<LostSource> dropped_;
  bool finished_ = false;
  std::uint64_t bytes_received_ = 0;
  std::uint64_t duplicates_ = 0;
  std::vector<Landing> landing_;
  DeviceCopies copies_;  // the last: they end before their memory goes
};

}  // namespace pccl::shared_state
