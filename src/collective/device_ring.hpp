// A ring all-reduce in memory of a GPU. Segments lie in pinned blocks of the host while they
// travel, and the GPU works on them in queues of its own: what is put into a queue for a segment is
// a straight line of copies and kernels, and collect() takes note of the ends of these lines. Lines
// of different segments go on at once, in the four queues of the workspace. Nothing begins before
// the application's work has ended (device/workspace.hpp); what comes earlier waits in its block.
//
//   to send the input   [encode] -> to the block
//   reducing            block -> reduce with the input [decode, reduce, encode] -> block
//   completing          the same, and the outcome is the result [decode]
//   gathering           block -> result [decode]; the block may be sent on meanwhile
//
// Every range of an operand is read for the last time before, or in the same line as, it is
// written: a rank receives the result of a range only after what it has sent of it. Of a pairwise
// exchange that is not so: there the same queue stages a segment and takes its counterpart in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "collective/ring_op.hpp"
#include "device/workspace.hpp"

namespace pccl::collective {

class DeviceRing final : public RingOp {
 public:
  // `operand` has a workspace. `news` is called on any thread when there is something to collect.
  DeviceRing(const plan::RingSchedule& schedule, const Operand& operand, BlockPool& pinned,
             std::function<void()> news);
  ~DeviceRing() override;  // after all that is in the queues has been carried out

  std::span<const std::byte> payload(std::uint32_t position) const override;
  void expect(std::uint32_t position) override;
  bool arrives_in_block(std::uint32_t) const override { return false; }
  void expect_in(std::uint32_t position, BlockPool::Block block) override;
  std::span<std::byte> destination(std::uint32_t position) override;
  std::size_t absorb(std::uint32_t, std::size_t, std::span<const std::byte>) override { return 0; }
  bool input_is_here() const override { return begun_; }
  bool collect() override;
  std::string failure() override { return workspace().check(); }
  void roll_back() override;
  void forget_way_back() override { operand_.workspace.reset(); }

 private:
  enum class Line : std::uint8_t { staging, taking_in };
  struct Ended {
    Line line;
    std::uint32_t position;
  };
  struct Mailbox {  // of the runtime's threads
    std::mutex mutex;
    std::vector<Ended> ended;
  };
  struct Staged {
    BlockPool::Block block;
    bool ready = false;
  };
  struct Saved {
    std::byte* at;
    const std::byte* copy;
    std::size_t bytes;
  };

  bool is_staged(std::uint32_t position) const override;
  void has_sent(std::uint32_t position) override;
  void has_arrived(std::uint32_t position) override;
  bool is_done() const override { return lines_ == 0; }
  std::size_t blocks_in_use() const override { return pinned_.blocks_in_use(); }

  void begin();
  void stage_ahead();
  void stage(std::uint32_t position);
  void take_in(std::uint32_t position);
  void reduce(device::Queue& queue, std::byte* scratch, std::uint32_t position);
  void gather(device::Queue& queue, std::byte* scratch, std::uint32_t position);
  void encode(device::Queue& queue, std::byte* segment, const plan::Range& range, bool has_come,
              std::uint32_t world_size);
  void decode(device::Queue& queue, const plan::Range& range, std::byte* segment);
  void save_result(device::Queue& queue, const plan::Range& range);
  float* residual_to_change(device::Queue& queue, const plan::Range& range);
  void save(device::Queue& queue, std::byte* at, std::byte* copy, std::size_t bytes);
  void end_line(device::Queue& queue, Line line, std::uint32_t position);
  void release_unneeded(std::uint32_t position);

  device::Workspace& workspace() const { return *operand_.workspace; }
  device::Queue& queue_of(std::uint32_t position) const;
  std::byte* scratch_of(std::uint32_t position) const;

  BlockPool& pinned_;
  std::shared_ptr<Mailbox> mailbox_;
  std::function<void()> news_;
  bool begun_ = false;                // the application's work has ended
  std::vector<std::uint32_t> early_;  // positions that have come before that
  std::size_t lines_ = 0;             // that have not ended
  std::uint32_t next_stage_ = 0;      // positions below are staged, or of a later step
  std::unordered_map<std::uint32_t, Staged> staged_;            // not sent yet
  std::unordered_map<std::uint32_t, BlockPool::Block> blocks_;  // arriving, worked on or held
  std::vector<bool> being_taken_in_;                            // by position
  std::vector<bool> sent_on_;                                   // by position of its receipt
  std::vector<Saved> saved_;
};

}  // namespace pccl::collective
