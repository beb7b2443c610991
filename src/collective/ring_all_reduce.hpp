// A ring all-reduce in memory of the host.
//
// A segment of a reducing step arrives in a scratch block, is reduced there with the local input
// while it is in cache, and is held until it has been sent on: partial sums never touch the user's
// memory. The last reducing step writes the finished segment to the receive buffer; from there it
// is gathered, and whoever receives it takes the same bytes.
//
// In a pairwise exchange every segment that comes is reduced into the result at once. In place
// that would overwrite what is still to be sent: such a segment waits in its block until its
// counterpart has gone. Who has sent least never waits: below its limit it can always send.
//
// Of a quantized op every segment travels and is held as codes (segment_coder.hpp): it is encoded
// when its first sender claims it, and decoded into the receive buffer by everybody, who completes
// it included. With error feedback every rank encodes what it has lost the last time as well
// (kernels/error_feedback.hpp); the residuals have their way back like an in-place buffer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "collective/ring_op.hpp"
#include "collective/rollback.hpp"

namespace pccl::collective {

class RingAllReduce final : public RingOp {
 public:
  RingAllReduce(const plan::RingSchedule& schedule, const Operand& operand, BlockPool& scratch,
                BlockPool& rollback);

  std::span<const std::byte> payload(std::uint32_t position) const override;
  void expect(std::uint32_t position) override;
  bool arrives_in_block(std::uint32_t position) const override;
  void expect_in(std::uint32_t position, BlockPool::Block block) override;
  std::span<std::byte> destination(std::uint32_t position) override;
  std::size_t absorb(std::uint32_t position, std::size_t offset,
                     std::span<const std::byte> here) override;
  void roll_back() override { rollback_.restore(); }
  void forget_way_back() override { rollback_.forget(); }

 private:
  void has_claimed(std::uint32_t position) override;
  void has_sent(std::uint32_t position) override;
  void has_arrived(std::uint32_t position) override;
  std::size_t blocks_in_use() const override { return scratch_.blocks_in_use(); }

  void take_in(std::uint32_t position);
  void arrived_in_full(std::uint32_t position, const plan::Range& range);
  void combine(std::uint32_t position, std::size_t offset, std::span<const std::byte> incoming);
  void arrived_as_codes(std::uint32_t position, const plan::Range& range);
  bool held_for_sending(std::uint32_t position) const;
  bool input_is_unsent(std::uint32_t position) const;
  bool too_large_for_caches() const;
  void let_go(std::uint32_t position);
  float* residual_to_change(const plan::Range& range);

  BlockPool& scratch_;
  Rollback rollback_;
  std::vector<bool> unsent_;  // by position; empty unless pairwise in place
  std::unordered_map<std::uint32_t, BlockPool::Block>
      blocks_;  // arriving or held; reducing steps only, unless quantized
  std::unordered_map<std::uint32_t, std::size_t> absorbed_;      // bytes of who is arriving
  std::unordered_map<std::uint32_t, BlockPool::Block> encoded_;  // own input, claimed for sending
};

}  // namespace pccl::collective
