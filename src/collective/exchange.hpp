// All ops of one peer and what passes between it and its two ring neighbours: segments to the next
// rank, segments from the previous one, credit the other way. Lanes (real or simulated) pull from
// it and push into it; it never waits and owns no socket. One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>

#include "base/ids.hpp"
#include "base/limits.hpp"
#include "collective/parked_segments.hpp"
#include "collective/pinned_blocks.hpp"
#include "collective/ring_op.hpp"
#include "collective/send_queue.hpp"

namespace pccl::collective {

// A frame of a lane as this room knows it (wire/bulk.hpp has its bytes).
struct Segment {
  OpKey op;
  std::uint32_t position = 0;
  std::uint32_t length = 0;
};
struct Credit {
  OpKey op;
  std::uint32_t limit = 0;
};

// What may be sent without credit; the same on all peers.
struct EagerBudget {
  std::size_t of_op = limits::eager_op_bytes;
  std::size_t of_link = limits::eager_link_bytes;
};

class Exchange {
 public:
  // `on_gpu_news` is called on any thread when collect() has something to do.
  explicit Exchange(std::function<void(const OpKey&)> on_finished, const EagerBudget& eager = {},
                    std::function<void()> on_gpu_news = {});

  // From now on frames of older epochs are dropped. Running ops must have been cancelled.
  void enter_epoch(Epoch epoch);

  // Starts an op and returns it; the caller keeps it for the roll-back after a cancel.
  std::shared_ptr<RingOp> start(const OpKey& op, const plan::RingSchedule& schedule,
                                const Operand& operand);
  // Notes that the op has been launched here without moving data (a star), or is over: its frames
  // are dropped.
  void pass_over(const OpKey& op);
  // After it returns no byte of the op's buffers is touched again, whatever is half-way on a lane.
  void cancel(const OpKey& op);

  // ---- GPUs
  void collect();             // goes on with what they have done
  std::string gpu_failure();  // empty: nothing that they do for an op here has gone wrong
  BlockPool& pinned(const device::Workspace& workspace);  // blocks of the host for its GPU
  std::size_t pinned_in_use() const { return pinned_ ? pinned_->pool.blocks_in_use() : 0; }

  // ---- the link to the next rank
  bool has_segment_to_send() const { return !sendable_.empty(); }
  std::optional<Segment> next_segment();
  std::span<const std::byte> payload(
      const Segment& segment) const;  // empty: the op is void, send zeros
  void segment_sent(const Segment& segment);
  void credit_arrived(const Credit& credit);

  // ---- the link from the previous rank
  // False and a reason: the previous rank breaks the protocol.
  bool segment_begins(const Segment& segment, std::string& why);
  std::span<std::byte> destination(const Segment& segment);  // empty: discard
  void segment_arrived(const Segment& segment);
  // Uses bytes of it, from `offset` on, where they lie; how many. For the rest there is a
  // destination.
  std::size_t absorb(const Segment& segment, std::size_t offset, std::span<const std::byte> here);
  bool has_credit_to_send() const { return !credit_due_.empty(); }
  std::optional<Credit> next_credit();
  void
  previous_link_replaced();  // credit announced on the old link may be lost: all of it is due again

 private:
  struct Op {
    std::shared_ptr<RingOp> reduce;
    bool waits = false;                 // in waiting_: no frame of it has left or come
    bool queued = false;                // in sendable_
    std::size_t eager_bytes = 0;        // sent before the next rank's first credit
    std::uint32_t announced_limit = 0;  // last credit sent to the previous rank
    bool announce_again = false;        // it may be lost
    bool credit_queued = false;         // in credit_due_
    std::size_t eager_bytes_received = 0;
    std::set<std::uint32_t> arriving;  // positions half-way on a lane
  };

  std::map<OpKey, Op>::iterator find_op(const OpKey& key);  // of a frame from the previous rank
  void note_launch(const OpKey& op);
  bool launched(const OpKey& op) const;
  bool has_to_wait(const RingOp& reduce) const;
  void begin(const OpKey& key, Op& op);
  void begin_who_waits();
  void offer_eagerly(Op& op);
  void deliver_parked(const OpKey& key, RingOp& reduce);
  void update(OpKey key);  // queues what became sendable or creditable; reports the end
  std::span<std::byte> place_at(const Segment& segment);
  void queue_sending(const OpKey& key, Op& op);
  void queue_credit(const OpKey& key, Op& op);
  void release_eager(Op& op);
  bool within_eager_budget(Op& op, const Segment& segment);
  void forget_parked(const OpKey& key);

  std::function<void(const OpKey&)> on_finished_;
  std::function<void()> on_gpu_news_;
  EagerBudget eager_;
  Epoch epoch_;
  BlockPool scratch_{limits::rollback_pool_bytes / 16};
  BlockPool rollback_{limits::rollback_pool_bytes};
  struct Pinned {
    explicit Pinned(std::shared_ptr<device::Gpu> gpu) : blocks(std::move(gpu)) {}
    PinnedBlocks blocks;
    BlockPool pool{0, blocks};  // what is pinned is kept for the whole process
  };
  std::optional<Pinned> pinned_;  // once an op is on a GPU
  std::map<OpKey, Op> ops_;
  std::unordered_map<Tag, Launch> next_launch_;  // in epoch_: launches below are known here
  ParkedSegments parked_{2 * eager_.of_link, scratch_};
  std::map<OpKey, std::uint32_t> parked_credit_;  // of ops not launched here yet
  SendQueue sendable_;
  std::deque<OpKey> waiting_;  // launched, and begun once what goes first has been sent
  std::deque<OpKey> credit_due_;
  std::size_t eager_bytes_ = 0;
};

}  // namespace pccl::collective
