// The way of one ring all-reduce at one rank, without a socket: lanes ask it what to send and where
// to put what arrives. What becomes of the bytes is up to who derives from it: ring_all_reduce.hpp
// in memory of the host, device_ring.hpp in memory of a GPU.
//
// The order of everything is plan/ring_schedule.hpp's. A segment that has come is held until it has
// been sent on. The sender stays below the *limit* that the receiver grants it: a window above the
// lowest position that the receiver has not yet sent on. A window of depth + 1 can never block the
// ring (the rank that has sent least can always go on); more only evens out differences in speed.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.hpp"
#include "base/quantization.hpp"
#include "collective/block_pool.hpp"
#include "collective/segment_coder.hpp"
#include "device/workspace.hpp"
#include "plan/ring_schedule.hpp"

namespace pccl::collective {

struct Operand {
  const void* send = nullptr;
  void* receive = nullptr;  // may be `send`: in place
  DataType type = DataType::float32;
  RedOp op = RedOp::sum;
  QuantizationOptions quantization{};
  float* residual = nullptr;  // error feedback of a quantized sum or avg: as many as elements
  std::shared_ptr<device::Workspace> workspace{};  // all three are memory of its GPU; null: host
};

// Segments that fit into a block, however the elements travel.
plan::RingSchedule schedule_of(std::uint32_t rank, std::uint32_t world, std::uint64_t count,
                               const Operand& operand, Duration rtt = {}, bool pairwise = false);

class RingOp {
 public:
  virtual ~RingOp() = default;
  RingOp(const RingOp&) = delete;
  RingOp& operator=(const RingOp&) = delete;

  // ---- to the next rank. Positions are claimed in order; several may be on their way at once.
  bool can_send() const;
  std::uint32_t claim();  // requires can_send()
  std::uint32_t segment_bytes_at(std::uint32_t position) const;
  virtual std::span<const std::byte> payload(std::uint32_t position) const = 0;
  void sent(std::uint32_t position);
  void raise_limit(std::uint32_t limit) { send_limit_ = std::max(send_limit_, limit); }
  std::uint32_t limit() const { return send_limit_; }
  std::uint32_t positions() const { return schedule_.positions(); }
  std::uint64_t bytes_to_claim() const;  // about
  bool fills_short_link() const { return schedule_.fills_short_link(); }

  // ---- from the previous rank. `accepts` is asked once per segment, before its first byte is
  // placed.
  bool accepts(std::uint32_t position, std::uint32_t length) const;
  virtual void expect(std::uint32_t position) = 0;
  // Instead of that: what comes lies in a block of the scratch pool already.
  virtual bool arrives_in_block(std::uint32_t position) const = 0;
  virtual void expect_in(std::uint32_t position, BlockPool::Block block) = 0;
  virtual std::span<std::byte> destination(std::uint32_t position) = 0;
  // Instead of a copy to the destination: the next bytes of the segment, from `offset` on, are
  // combined or put in place from where they lie. How many; after zero the rest has to be copied.
  virtual std::size_t absorb(std::uint32_t position, std::size_t offset,
                             std::span<const std::byte> here) = 0;
  void arrived(std::uint32_t position);
  std::uint32_t receive_limit() const;  // what the previous rank may be told now; never falls
  std::uint32_t vital_limit() const;    // what it must be told: below it the ring could stand still

  // ---- work that somebody else does meanwhile
  virtual bool input_is_here() const { return true; }  // else the application is still writing it
  virtual bool collect() { return false; }      // takes note of what has been done; false: nothing
  virtual std::string failure() { return {}; }  // why it cannot be done; then the op never finishes

  // ---- the end
  bool finished() const;               // everything sent and received: the result is whole
  virtual void roll_back() = 0;        // in-place buffer and residuals are as before; any thread
  virtual void forget_way_back() = 0;  // gives the copies back to the pool

  std::uint16_t progress_per_mille() const;  // of what is to be sent and received
  std::uint64_t tx_bytes() const { return tx_bytes_; }
  std::uint64_t rx_bytes() const { return rx_bytes_; }

 protected:
  enum class Progress : std::uint8_t { awaited, arriving, arrived, held, released };

  RingOp(const plan::RingSchedule& schedule, const Operand& operand);

  // The input at a position of step 0 is where payload() says.
  virtual bool is_staged(std::uint32_t /*position*/) const { return true; }
  virtual void has_claimed(std::uint32_t /*position*/) {}
  virtual void has_sent(std::uint32_t position) = 0;
  // A segment has come: makes it held, at once or later, and releases it when nobody needs it.
  virtual void has_arrived(std::uint32_t position) = 0;
  virtual bool is_done() const { return true; }  // beside sending and receiving
  virtual std::size_t blocks_in_use() const = 0;
  bool blocks_are_plenty() const;  // else an op has to do with what it needs to go on

  void release(std::uint32_t position);
  std::size_t wire_bytes(std::uint64_t elements) const;
  std::byte* result_at(const plan::Range& range) const;
  const std::byte* input_at(const plan::Range& range) const;
  bool in_place() const { return operand_.send == operand_.receive; }

  plan::RingSchedule schedule_;
  Operand operand_;
  std::size_t element_bytes_;
  std::optional<SegmentCoder> coder_;  // of a quantized op
  std::vector<Progress> receiving_;    // by position

 private:
  std::uint32_t next_claim_ = 0;  // positions below have been claimed by a lane
  std::uint32_t sent_count_ = 0;  // positions wholly handed to the kernel
  std::uint32_t send_limit_ = 0;
  std::uint32_t arrived_count_ = 0;
  std::uint32_t lowest_unreleased_ = 0;
  mutable std::uint32_t granted_ = 0;
  std::uint64_t tx_bytes_ = 0, rx_bytes_ = 0;
};

}  // namespace pccl::collective
