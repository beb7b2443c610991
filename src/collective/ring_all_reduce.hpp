// One ring all-reduce at one rank, without a socket: lanes ask it what to send and where to put
// what arrives.
//
// The order of everything is plan/ring_schedule.hpp's. A segment of a reducing step arrives in a
// scratch block, is reduced there with the local input while it is in cache, and is held until it
// has been sent on: partial sums never touch the user's memory. The last reducing step writes the
// finished segment to the receive buffer; from there it is gathered, and whoever receives it takes
// the same bytes. The sender stays below the *limit* that the receiver grants it: a window above
// the lowest position that the receiver has not yet sent on. A window of depth + 1 can never block
// the ring (the rank that has sent least can always go on); more only evens out differences in
// speed.
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
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/dtype.hpp"
#include "base/quantization.hpp"
#include "collective/block_pool.hpp"
#include "collective/rollback.hpp"
#include "collective/segment_coder.hpp"
#include "plan/ring_schedule.hpp"

namespace pccl::collective {

struct Operand {
  const void* send = nullptr;
  void* receive = nullptr;  // may be `send`: in place
  DataType type = DataType::float32;
  RedOp op = RedOp::sum;
  QuantizationOptions quantization{};
  float* residual = nullptr;  // error feedback of a quantized sum or avg: as many as elements
};

// Segments that fit into a block, however the elements travel.
plan::RingSchedule schedule_of(std::uint32_t rank, std::uint32_t world, std::uint64_t count,
                               const Operand& operand, Duration rtt = {}, bool pairwise = false);

class RingAllReduce {
 public:
  RingAllReduce(const plan::RingSchedule& schedule, const Operand& operand, BlockPool& scratch,
                BlockPool& rollback);

  // ---- to the next rank. Positions are claimed in order; several may be on their way at once.
  bool can_send() const;
  std::uint32_t claim();  // requires can_send()
  std::uint32_t segment_bytes_at(std::uint32_t position) const;
  std::span<const std::byte> payload(std::uint32_t position) const;
  void sent(std::uint32_t position);
  void raise_limit(std::uint32_t limit);  // the next rank accepts positions below `limit`
  std::uint32_t limit() const { return send_limit_; }
  std::uint32_t positions() const { return schedule_.positions(); }
  std::uint64_t bytes_to_claim() const;  // about
  bool fills_short_link() const { return schedule_.fills_short_link(); }

  // ---- from the previous rank. `accepts` is asked once per segment, before its first byte is
  // placed.
  bool accepts(std::uint32_t position, std::uint32_t length) const;
  void expect(std::uint32_t position);
  // Instead of that: what comes lies in a block of the scratch pool already.
  bool arrives_in_block(std::uint32_t position) const;
  void expect_in(std::uint32_t position, BlockPool::Block block);
  std::span<std::byte> destination(std::uint32_t position);
  // Instead of a copy to the destination: the next bytes of the segment, from `offset` on, are
  // combined or put in place from where they lie. How many; after zero the rest has to be copied.
  std::size_t absorb(std::uint32_t position, std::size_t offset, std::span<const std::byte> here);
  void arrived(std::uint32_t position);
  std::uint32_t receive_limit() const;  // what the previous rank may be told now; never falls
  std::uint32_t vital_limit() const;    // what it must be told: below it the ring could stand still

  bool finished() const;  // everything sent and received: the result is whole
  void roll_back() const { rollback_.restore(); }  // in-place buffer and residuals are as before
  void forget_input() { rollback_.forget(); }      // gives the copies back to the pool

  std::uint16_t progress_per_mille() const;  // of what is to be sent and received

  std::uint64_t tx_bytes() const { return tx_bytes_; }
  std::uint64_t rx_bytes() const { return rx_bytes_; }

 private:
  enum class Progress : std::uint8_t { awaited, arriving, held, released };

  std::size_t wire_bytes(std::uint64_t elements) const;
  void take_in(std::uint32_t position);
  void arrived_in_full(std::uint32_t position, const plan::Range& range);
  void combine(std::uint32_t position, std::size_t offset, std::span<const std::byte> incoming);
  void arrived_as_codes(std::uint32_t position, const plan::Range& range);
  bool held_for_sending(std::uint32_t position) const;
  bool input_is_unsent(std::uint32_t position) const;
  bool too_large_for_caches() const;
  void release(std::uint32_t position);
  std::byte* result_at(const plan::Range& range) const;
  const std::byte* input_at(const plan::Range& range) const;
  float* residual_to_change(const plan::Range& range);
  bool in_place() const { return operand_.send == operand_.receive; }

  plan::RingSchedule schedule_;
  Operand operand_;
  std::size_t element_bytes_;
  std::optional<SegmentCoder> coder_;  // of a quantized op
  BlockPool& scratch_;
  Rollback rollback_;

  std::uint32_t next_claim_ = 0;  // positions below have been claimed by a lane
  std::uint32_t sent_count_ = 0;  // positions wholly handed to the kernel
  std::uint32_t send_limit_ = 0;
  std::vector<Progress> receiving_;  // by position
  std::vector<bool> unsent_;         // by position; empty unless pairwise in place
  std::unordered_map<std::uint32_t, BlockPool::Block>
      blocks_;  // arriving or held; reducing steps only, unless quantized
  std::unordered_map<std::uint32_t, std::size_t> absorbed_;      // bytes of who is arriving
  std::unordered_map<std::uint32_t, BlockPool::Block> encoded_;  // own input, claimed for sending
  std::uint32_t arrived_count_ = 0;
  std::uint32_t lowest_unreleased_ = 0;
  mutable std::uint32_t granted_ = 0;
  std::uint64_t tx_bytes_ = 0, rx_bytes_ = 0;
};

}  // namespace pccl::collective
