#include "collective/ring_all_reduce.hpp"

#include <algorithm>

#include "base/mutant.hpp"
#include "base/status.hpp"
#include "kernels/copy.hpp"
#include "kernels/reduce.hpp"

namespace pccl::collective {

namespace {

// Beyond this many blocks in use by all ops together, an op is granted its private minimum only.
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

RingAllReduce::RingAllReduce(const plan::RingSchedule& schedule, const Operand& operand,
                             BlockPool& scratch, BlockPool& rollback)
    : schedule_(schedule),
      operand_(operand),
      element_bytes_(size_of(operand.type)),
      scratch_(scratch),
      rollback_(rollback),
      receiving_(schedule.positions(), Progress::awaited) {
  if (operand.quantization) coder_.emplace(operand.type, operand.op, operand.quantization);
  if (schedule.pairwise() && in_place()) unsent_.assign(schedule.positions(), true);
}

bool RingAllReduce::can_send() const {
  const std::uint32_t limit = mutant(Mutant::credit_ignored) ? schedule_.positions() : send_limit_;
  if (next_claim_ >= std::min(limit, schedule_.positions())) return false;
  const auto needed = schedule_.needs(next_claim_);
  return !needed || receiving_[*needed] >= Progress::held;
}

std::uint32_t RingAllReduce::claim() {
  PCCL_INVARIANT(can_send());
  const std::uint32_t position = next_claim_++;
  if (coder_ && schedule_.transfer(position).step == 0) {
    const plan::Range range = schedule_.sent(position);
    auto& block = encoded_[position] = scratch_.take();
    coder_->encode(block.data(), input_at(range), range.count, residual_to_change(range));
  }
  return position;
}

std::uint64_t RingAllReduce::bytes_to_claim() const {
  return std::uint64_t{positions() - next_claim_} * segment_bytes_at(0);
}

std::uint32_t RingAllReduce::segment_bytes_at(std::uint32_t position) const {
  return static_cast<std::uint32_t>(wire_bytes(schedule_.sent(position).count));
}

std::size_t RingAllReduce::wire_bytes(std::uint64_t elements) const {
  return coder_ ? coder_->bytes(elements) : elements * element_bytes_;
}

std::span<const std::byte> RingAllReduce::payload(std::uint32_t position) const {
  const plan::Transfer transfer = schedule_.transfer(position);
  const plan::Range range = schedule_.sent(position);
  const std::size_t bytes = wire_bytes(range.count);
  if (coder_)
    return {transfer.step == 0 ? encoded_.at(position).data()
                               : blocks_.at(*schedule_.needs(position)).data(),
            bytes};
  if (transfer.step == 0) return {input_at(range), bytes};
  if (!schedule_.reduces(transfer)) return {result_at(range), bytes};
  return {blocks_.at(*schedule_.needs(position)).data(), bytes};
}

void RingAllReduce::sent(std::uint32_t position) {
  tx_bytes_ += segment_bytes_at(position);
  ++sent_count_;
  encoded_.erase(position);
  const auto source = schedule_.needs(position);
  if (source && held_for_sending(*source)) release(*source);
  if (unsent_.empty()) return;
  unsent_[position] = false;
  if (receiving_[position] == Progress::held) take_in(position);
}

void RingAllReduce::raise_limit(std::uint32_t limit) {
  send_limit_ = std::max(send_limit_, limit);
}

bool RingAllReduce::accepts(std::uint32_t position, std::uint32_t length) const {
  return position < schedule_.positions() && receiving_[position] == Progress::awaited &&
         length == wire_bytes(schedule_.received(position).count);
}

void RingAllReduce::expect(std::uint32_t position) {
  if (arrives_in_block(position)) return expect_in(position, scratch_.take());
  receiving_[position] = Progress::arriving;
  const plan::Range range = schedule_.received(position);
  if (in_place()) rollback_.save(result_at(range), range.count * element_bytes_);
}

bool RingAllReduce::arrives_in_block(std::uint32_t position) const {
  return coder_ || schedule_.reduces(schedule_.transfer(position));
}

void RingAllReduce::expect_in(std::uint32_t position, BlockPool::Block block) {
  receiving_[position] = Progress::arriving;
  blocks_[position] = std::move(block);
}

std::span<std::byte> RingAllReduce::destination(std::uint32_t position) {
  const plan::Range range = schedule_.received(position);
  const std::size_t bytes = wire_bytes(range.count);
  const auto block = blocks_.find(position);
  return {block == blocks_.end() ? result_at(range) : block->second.data(), bytes};
}

void RingAllReduce::arrived(std::uint32_t position) {
  const plan::Range range = schedule_.received(position);
  rx_bytes_ += wire_bytes(range.count);
  ++arrived_count_;
  receiving_[position] = Progress::held;
  if (!input_is_unsent(position)) take_in(position);
}

void RingAllReduce::take_in(std::uint32_t position) {
  const plan::Range range = schedule_.received(position);
  if (coder_)
    arrived_as_codes(position, range);
  else
    arrived_in_full(position, range);
  if (!held_for_sending(position)) release(position);
}

void RingAllReduce::arrived_in_full(std::uint32_t position, const plan::Range& range) {
  const plan::Transfer transfer = schedule_.transfer(position);
  if (!schedule_.reduces(transfer)) return;
  const auto absorbed = absorbed_.extract(position);
  const std::size_t begin = absorbed ? absorbed.mapped() : 0;
  combine(position, begin, destination(position).subspan(begin));
  if (schedule_.completes(transfer))
    kernels::finalize(operand_.op, operand_.type, result_at(range), range.count, schedule_.world());
}

std::size_t RingAllReduce::absorb(std::uint32_t position, std::size_t offset,
                                  std::span<const std::byte> here) {
  if (coder_) return 0;
  const plan::Transfer transfer = schedule_.transfer(position);
  if (!schedule_.reduces(transfer)) {
    if (!too_large_for_caches() || schedule_.feeds(position)) return 0;
    kernels::copy_past_caches(destination(position).data() + offset, here.data(), here.size());
    return here.size();
  }
  if (input_is_unsent(position)) return 0;
  const std::size_t whole = here.size() - here.size() % element_bytes_;
  std::size_t& absorbed = absorbed_[position];
  if (whole == 0 || offset != absorbed) return 0;
  combine(position, offset, here.first(whole));
  absorbed += whole;
  return whole;
}

// Bytes of a reducing step, from `offset` of the segment on, with the local input: into the block
// that is sent on, or as the result.
void RingAllReduce::combine(std::uint32_t position, std::size_t offset,
                            std::span<const std::byte> incoming) {
  const plan::Range range = schedule_.received(position);
  const bool completes = schedule_.completes(schedule_.transfer(position));
  if (completes && in_place() && offset == 0 && !mutant(Mutant::restore_misses_owned_chunk))
    rollback_.save(result_at(range), range.count * element_bytes_);
  std::byte* const out = completes ? result_at(range) : blocks_.at(position).data();
  kernels::reduce(operand_.op, operand_.type, out + offset, incoming.data(),
                  input_at(range) + offset, incoming.size() / element_bytes_);
}

void RingAllReduce::arrived_as_codes(std::uint32_t position, const plan::Range& range) {
  const plan::Transfer transfer = schedule_.transfer(position);
  std::byte* const segment = blocks_[position].data();
  if (schedule_.completes(transfer))
    coder_->complete(segment, input_at(range), range.count, schedule_.world(),
                     residual_to_change(range));
  else if (schedule_.reduces(transfer))
    return coder_->reduce(segment, input_at(range), range.count, residual_to_change(range));
  if (in_place()) rollback_.save(result_at(range), range.count * element_bytes_);
  coder_->decode(result_at(range), segment, range.count);
}

// Only what is sent from it occupies a block until it has been: partial sums and codes. Results in
// full are sent from the user's buffer.
bool RingAllReduce::held_for_sending(std::uint32_t position) const {
  const plan::Transfer transfer = schedule_.transfer(position);
  if (coder_) return schedule_.feeds(position).has_value();
  return schedule_.reduces(transfer) && !schedule_.completes(transfer);
}

bool RingAllReduce::input_is_unsent(std::uint32_t position) const {
  return !unsent_.empty() && unsent_[position];
}

bool RingAllReduce::too_large_for_caches() const {
  return schedule_.count() * element_bytes_ >= limits::cached_bytes;
}

void RingAllReduce::release(std::uint32_t position) {
  receiving_[position] = Progress::released;
  blocks_.erase(position);
  while (lowest_unreleased_ < schedule_.positions() &&
         receiving_[lowest_unreleased_] == Progress::released)
    ++lowest_unreleased_;
}

std::uint32_t RingAllReduce::receive_limit() const {
  const bool plenty = scratch_.blocks_in_use() < shared_scratch_blocks;
  const std::uint32_t wide = plenty ? lowest_unreleased_ + 2 * schedule_.depth() : 0;
  granted_ = std::max({granted_, vital_limit(), std::min(wide, schedule_.positions())});
  return granted_;
}

std::uint32_t RingAllReduce::vital_limit() const {
  return std::min(lowest_unreleased_ + schedule_.depth() + 1, schedule_.positions());
}

bool RingAllReduce::finished() const {
  if (mutant(Mutant::finished_too_early)) return sent_count_ == schedule_.positions();
  return sent_count_ == schedule_.positions() && arrived_count_ == schedule_.positions();
}

std::uint16_t RingAllReduce::progress_per_mille() const {
  const std::uint64_t all = 2 * std::uint64_t{schedule_.positions()};
  const std::uint64_t moved = std::uint64_t{sent_count_} + arrived_count_;
  if (all == 0) return 1000;
  return static_cast<std::uint16_t>(1000 * moved / all);
}

std::byte* RingAllReduce::result_at(const plan::Range& range) const {
  return static_cast<std::byte*>(operand_.receive) + range.begin * element_bytes_;
}

const std::byte* RingAllReduce::input_at(const plan::Range& range) const {
  return static_cast<const std::byte*>(operand_.send) + range.begin * element_bytes_;
}

// Null without error feedback. Residuals of 16-bit elements fill more than one block of the pool.
float* RingAllReduce::residual_to_change(const plan::Range& range) {
  if (operand_.residual == nullptr) return nullptr;
  float* const residual = operand_.residual + range.begin;
  constexpr std::uint64_t in_a_block = limits::segment_bytes / sizeof(float);
  for (std::uint64_t first = 0; first < range.count; first += in_a_block)
    rollback_.save(reinterpret_cast<std::byte*>(residual + first),
                   std::min(in_a_block, range.count - first) * sizeof(float));
  return residual;
}

}  // namespace pccl::collective
