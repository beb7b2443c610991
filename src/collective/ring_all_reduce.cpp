#include "collective/ring_all_reduce.hpp"

#include <algorithm>
#include <utility>

#include "base/mutant.hpp"
#include "kernels/copy.hpp"
#include "kernels/reduce.hpp"

namespace pccl::collective {

RingAllReduce::RingAllReduce(const plan::RingSchedule& schedule, const Operand& operand,
                             BlockPool& scratch, BlockPool& rollback)
    : RingOp(schedule, operand), scratch_(scratch), rollback_(rollback) {
  if (schedule.pairwise() && in_place()) unsent_.assign(schedule.positions(), true);
}

void RingAllReduce::has_claimed(std::uint32_t position) {
  if (!coder_ || schedule_.transfer(position).step != 0) return;
  const plan::Range range = schedule_.sent(position);
  auto& block = encoded_[position] = scratch_.take();
  coder_->encode(block.data(), input_at(range), range.count, residual_to_change(range));
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

void RingAllReduce::has_sent(std::uint32_t position) {
  encoded_.erase(position);
  const auto source = schedule_.needs(position);
  if (source && held_for_sending(*source)) let_go(*source);
  if (unsent_.empty()) return;
  unsent_[position] = false;
  if (receiving_[position] == Progress::held) take_in(position);
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

void RingAllReduce::has_arrived(std::uint32_t position) {
  receiving_[position] = Progress::held;
  if (!input_is_unsent(position)) take_in(position);
}

void RingAllReduce::take_in(std::uint32_t position) {
  const plan::Range range = schedule_.received(position);
  if (coder_)
    arrived_as_codes(position, range);
  else
    arrived_in_full(position, range);
  if (!held_for_sending(position)) let_go(position);
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

void RingAllReduce::let_go(std::uint32_t position) {
  blocks_.erase(position);
  release(position);
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
