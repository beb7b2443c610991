#include "collective/ring_op.hpp"

#include "base/mutant.hpp"
#include "base/status.hpp"

namespace pccl::collective {

namespace {

// Of all ops together.
constexpr std::size_t shared_scratch_blocks = limits::shared_scratch_bytes / limits::segment_bytes;

}  // namespace

plan::RingSchedule schedule_of(std::uint32_t rank, std::uint32_t world, std::uint64_t count,
                               const Operand& operand, Duration rtt, bool pairwise) {
  std::size_t element_bytes = size_of(operand.type);
  if (!operand.quantization)
    return plan::RingSchedule::choose(rank, world, count, element_bytes,
                                      {.rtt = rtt, .pairwise = pairwise});
  PCCL_INVARIANT(!pairwise);
  const auto bytes_of_codes = [&] {
    return SegmentCoder::bytes(operand.type, operand.quantization,
                               limits::segment_bytes / element_bytes);
  };
  // Codes may be wider than the elements, and bring their ranges.
  while (bytes_of_codes() > limits::segment_bytes) element_bytes *= 2;
  return plan::RingSchedule::choose(rank, world, count, element_bytes,
                                    {.rtt = rtt,
                                     .wire_share = static_cast<double>(bytes_of_codes()) /
                                                   static_cast<double>(limits::segment_bytes)});
}

RingOp::RingOp(const plan::RingSchedule& schedule, const Operand& operand)
    : schedule_(schedule),
      operand_(operand),
      element_bytes_(size_of(operand.type)),
      receiving_(schedule.positions(), Progress::awaited) {
  if (operand.quantization) coder_.emplace(operand.type, operand.op, operand.quantization);
}

bool RingOp::can_send() const {
  const std::uint32_t limit = mutant(Mutant::credit_ignored) ? schedule_.positions() : send_limit_;
  if (next_claim_ >= std::min(limit, schedule_.positions())) return false;
  const auto needed = schedule_.needs(next_claim_);
  return needed ? receiving_[*needed] >= Progress::held : is_staged(next_claim_);
}

std::uint32_t RingOp::claim() {
  PCCL_INVARIANT(can_send());
  const std::uint32_t position = next_claim_++;
  has_claimed(position);
  return position;
}

std::uint64_t RingOp::bytes_to_claim() const {
  return std::uint64_t{positions() - next_claim_} * segment_bytes_at(0);
}

std::uint32_t RingOp::segment_bytes_at(std::uint32_t position) const {
  return static_cast<std::uint32_t>(wire_bytes(schedule_.sent(position).count));
}

std::size_t RingOp::wire_bytes(std::uint64_t elements) const {
  return coder_ ? coder_->bytes(elements) : elements * element_bytes_;
}

void RingOp::sent(std::uint32_t position) {
  tx_bytes_ += segment_bytes_at(position);
  ++sent_count_;
  has_sent(position);
}

bool RingOp::accepts(std::uint32_t position, std::uint32_t length) const {
  return position < schedule_.positions() && receiving_[position] == Progress::awaited &&
         length == wire_bytes(schedule_.received(position).count);
}

void RingOp::arrived(std::uint32_t position) {
  rx_bytes_ += wire_bytes(schedule_.received(position).count);
  ++arrived_count_;
  receiving_[position] = Progress::arrived;
  has_arrived(position);
}

void RingOp::release(std::uint32_t position) {
  receiving_[position] = Progress::released;
  while (lowest_unreleased_ < schedule_.positions() &&
         receiving_[lowest_unreleased_] == Progress::released)
    ++lowest_unreleased_;
}

bool RingOp::blocks_are_plenty() const {
  return blocks_in_use() < shared_scratch_blocks;
}

std::uint32_t RingOp::receive_limit() const {
  const std::uint32_t wide = blocks_are_plenty() ? lowest_unreleased_ + 2 * schedule_.depth() : 0;
  granted_ = std::max({granted_, vital_limit(), std::min(wide, schedule_.positions())});
  return granted_;
}

std::uint32_t RingOp::vital_limit() const {
  return std::min(lowest_unreleased_ + schedule_.depth() + 1, schedule_.positions());
}

bool RingOp::finished() const {
  if (mutant(Mutant::finished_too_early)) return sent_count_ == schedule_.positions();
  return sent_count_ == schedule_.positions() && arrived_count_ == schedule_.positions() &&
         is_done();
}

std::uint16_t RingOp::progress_per_mille() const {
  const std::uint64_t all = 2 * std::uint64_t{schedule_.positions()};
  const std::uint64_t moved = std::uint64_t{sent_count_} + arrived_count_;
  if (all == 0) return 1000;
  return static_cast<std::uint16_t>(1000 * moved / all);
}

std::byte* RingOp::result_at(const plan::Range& range) const {
  return static_cast<std::byte*>(operand_.receive) + range.begin * element_bytes_;
}

const std::byte* RingOp::input_at(const plan::Range& range) const {
  return static_cast<const std::byte*>(operand_.send) + range.begin * element_bytes_;
}

}  // namespace pccl::collective
