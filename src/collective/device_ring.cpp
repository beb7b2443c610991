#include "collective/device_ring.hpp"

#include <utility>

#include "base/limits.hpp"
#include "base/mutant.hpp"

namespace pccl::collective {

using kernels::cuda::Codes;

DeviceRing::DeviceRing(const plan::RingSchedule& schedule, const Operand& operand,
                       BlockPool& pinned, std::function<void()> news)
    : RingOp(schedule, operand),
      pinned_(pinned),
      mailbox_(std::make_shared<Mailbox>()),
      news_(std::move(news)),
      being_taken_in_(schedule.positions()),
      sent_on_(schedule.positions()) {
  workspace().gate->tell_when_open(news_);
  if (workspace().gate->is_open()) begin();
}

DeviceRing::~DeviceRing() {
  if (operand_.workspace && begun_) workspace().wait();
}

void DeviceRing::begin() {
  begun_ = true;
  stage_ahead();
  for (const std::uint32_t position : early_) take_in(position);
  early_.clear();
}

device::Queue& DeviceRing::queue_of(std::uint32_t position) const {
  return *workspace().queues[position % workspace().queues.size()];
}

std::byte* DeviceRing::scratch_of(std::uint32_t position) const {
  return workspace().blocks.data() + position % workspace().queues.size() * limits::segment_bytes;
}

// ---- to the next rank

// One for each queue; and as many as can be under way at once, where there are blocks.
void DeviceRing::stage_ahead() {
  const std::size_t ahead =
      workspace().queues.size() + (blocks_are_plenty() ? schedule_.depth() : 0);
  for (; next_stage_ < schedule_.positions() && staged_.size() < ahead; ++next_stage_)
    if (schedule_.transfer(next_stage_).step == 0) stage(next_stage_);
}

void DeviceRing::stage(std::uint32_t position) {
  Staged& staged = staged_[position];
  staged.block = pinned_.take();
  const plan::Range range = schedule_.sent(position);
  device::Queue& queue = queue_of(position);
  const std::byte* from = input_at(range);
  if (coder_) {
    encode(queue, scratch_of(position), range, false, 1);
    from = scratch_of(position);
  }
  queue.copy(staged.block.data(), from, wire_bytes(range.count));
  end_line(queue, Line::staging, position);
}

bool DeviceRing::is_staged(std::uint32_t position) const {
  const auto found = staged_.find(position);
  return found != staged_.end() && found->second.ready;
}

std::span<const std::byte> DeviceRing::payload(std::uint32_t position) const {
  const std::size_t bytes = segment_bytes_at(position);
  const auto source = schedule_.needs(position);
  return {source ? blocks_.at(*source).data() : staged_.at(position).block.data(), bytes};
}

void DeviceRing::has_sent(std::uint32_t position) {
  if (const auto source = schedule_.needs(position)) {
    sent_on_[*source] = true;
    return release_unneeded(*source);
  }
  staged_.erase(position);
  stage_ahead();
}

// ---- from the previous rank

void DeviceRing::expect(std::uint32_t position) {
  expect_in(position, pinned_.take());
}

void DeviceRing::expect_in(std::uint32_t position, BlockPool::Block block) {
  receiving_[position] = Progress::arriving;
  blocks_[position] = std::move(block);
}

std::span<std::byte> DeviceRing::destination(std::uint32_t position) {
  return {blocks_.at(position).data(), wire_bytes(schedule_.received(position).count)};
}

void DeviceRing::has_arrived(std::uint32_t position) {
  if (begun_)
    take_in(position);
  else
    early_.push_back(position);
}

void DeviceRing::take_in(std::uint32_t position) {
  if (schedule_.pairwise() && in_place())
    for (; next_stage_ <= position; ++next_stage_) stage(next_stage_);
  device::Queue& queue = queue_of(position);
  being_taken_in_[position] = true;
  if (schedule_.reduces(schedule_.transfer(position))) {
    reduce(queue, scratch_of(position), position);
  } else {
    gather(queue, scratch_of(position), position);
    receiving_[position] = Progress::held;  // what is sent on is what has come
  }
  end_line(queue, Line::taking_in, position);
}

void DeviceRing::reduce(device::Queue& queue, std::byte* scratch, std::uint32_t position) {
  const plan::Range range = schedule_.received(position);
  const std::size_t bytes = wire_bytes(range.count);
  const bool completes = schedule_.completes(schedule_.transfer(position));
  std::byte* const block = blocks_.at(position).data();
  queue.copy(scratch, block, bytes);
  std::byte* outcome = scratch;
  if (coder_) {
    encode(queue, scratch, range, true, completes ? schedule_.world() : 1);
    if (completes) decode(queue, range, scratch);
  } else {
    if (completes) {
      outcome = result_at(range);
      save_result(queue, range);
    }
    queue.reduce(operand_.op, operand_.type, outcome, scratch, input_at(range), range.count);
    if (completes && operand_.op == RedOp::avg)
      queue.finalize(operand_.op, operand_.type, outcome, range.count, schedule_.world());
  }
  if (schedule_.feeds(position)) queue.copy(block, outcome, bytes);
}

void DeviceRing::gather(device::Queue& queue, std::byte* scratch, std::uint32_t position) {
  const plan::Range range = schedule_.received(position);
  const std::size_t bytes = wire_bytes(range.count);
  const std::byte* const block = blocks_.at(position).data();
  if (coder_) {
    queue.copy(scratch, block, bytes);
    return decode(queue, range, scratch);
  }
  save_result(queue, range);
  queue.copy(result_at(range), block, bytes);
}

// The segment of the input, or of op(what it stands for, input).
void DeviceRing::encode(device::Queue& queue, std::byte* segment, const plan::Range& range,
                        bool has_come, std::uint32_t world_size) {
  const kernels::Quantized parts = coder_->parts(segment, range.count);
  const Codes codes{parts.codes, parts.ranges};
  const kernels::Quantization& quantization = coder_->quantization();
  queue.quantize(operand_.type, quantization.code,
                 {.out = codes,
                  .in = has_come ? codes : Codes{},
                  .values = input_at(range),
                  .residual = residual_to_change(queue, range),
                  .count = range.count,
                  .block_elements = quantization.block_elements,
                  .levels = quantization.levels,
                  .op = operand_.op,
                  .world_size = world_size});
}

void DeviceRing::decode(device::Queue& queue, const plan::Range& range, std::byte* segment) {
  save_result(queue, range);
  const kernels::Quantized parts = coder_->parts(segment, range.count);
  const kernels::Quantization& quantization = coder_->quantization();
  queue.dequantize(operand_.type, quantization.code,
                   {.out = result_at(range),
                    .in = {parts.codes, parts.ranges},
                    .count = range.count,
                    .block_elements = quantization.block_elements,
                    .levels = quantization.levels});
}

// ---- what the GPU has done

void DeviceRing::end_line(device::Queue& queue, Line line, std::uint32_t position) {
  ++lines_;
  queue.then([mailbox = mailbox_, news = news_, line, position] {
    {
      const std::lock_guard guard(mailbox->mutex);
      mailbox->ended.push_back({line, position});
    }
    news();
  });
}

// Of a queue in which something has gone wrong all lines end: what they leave is not to be used.
bool DeviceRing::collect() {
  if (!begun_) {
    if (!workspace().gate->is_open() || !workspace().failure().empty()) return false;
    begin();
    return true;
  }
  std::vector<Ended> ended;
  {
    const std::lock_guard guard(mailbox_->mutex);
    ended.swap(mailbox_->ended);
  }
  if (ended.empty() || !workspace().failure().empty()) return false;
  for (const auto& [line, position] : ended) {
    --lines_;
    if (line == Line::staging) {
      staged_.at(position).ready = true;
      continue;
    }
    being_taken_in_[position] = false;
    if (receiving_[position] == Progress::arrived) receiving_[position] = Progress::held;
    release_unneeded(position);
  }
  return true;
}

void DeviceRing::release_unneeded(std::uint32_t position) {
  if (being_taken_in_[position] || (schedule_.feeds(position) && !sent_on_[position])) return;
  blocks_.erase(position);
  release(position);
}

// ---- the way back: on the GPU, in the queue that then writes

// Without memory for it: not in place, or in memory that nobody reads after a failure.
void DeviceRing::save_result(device::Queue& queue, const plan::Range& range) {
  if (!workspace().way_back || mutant(Mutant::missing_restore)) return;
  save(queue, result_at(range), workspace().way_back.data() + range.begin * element_bytes_,
       range.count * element_bytes_);
}

float* DeviceRing::residual_to_change(device::Queue& queue, const plan::Range& range) {
  if (operand_.residual == nullptr) return nullptr;
  const std::size_t offset = range.begin * sizeof(float);
  auto* const at = reinterpret_cast<std::byte*>(operand_.residual) + offset;
  save(queue, at, workspace().residual_way_back.data() + offset, range.count * sizeof(float));
  return operand_.residual + range.begin;
}

void DeviceRing::save(device::Queue& queue, std::byte* at, std::byte* copy, std::size_t bytes) {
  queue.copy(copy, at, bytes);
  saved_.push_back({at, copy, bytes});
}

// Nothing of a broken GPU can be brought back.
void DeviceRing::roll_back() {
  if (!begun_) return;
  workspace().wait();
  device::Queue& queue = *workspace().queues.front();
  for (const Saved& saved : saved_) queue.copy(saved.at, saved.copy, saved.bytes);
  queue.wait();
}

}  // namespace pccl::collective
