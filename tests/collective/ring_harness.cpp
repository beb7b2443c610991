#include "collective/ring_harness.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <ostream>

#include "base/limits.hpp"
#include "kernels/reduce.hpp"

namespace pccl::collective::test {

namespace {

constexpr std::size_t pipe_bytes = 300'000;
constexpr std::byte scribble{0xa5};

// Small whole numbers: their sums and products are exact in every type, in any order.
Bytes small_numbers(DataType type, std::uint64_t count, std::uint64_t seed) {
  Rng rng(seed);
  Bytes bytes(count * size_of(type));
  for (std::uint64_t index = 0; index < count; ++index) {
    const auto value = static_cast<std::uint8_t>(1 + rng.below(3));
    std::byte* const at = bytes.data() + index * size_of(type);
    const auto store = [at](auto number) { std::memcpy(at, &number, sizeof number); };
    switch (type) {
      case DataType::float32:
        store(static_cast<float>(value));
        break;
      case DataType::float64:
        store(static_cast<double>(value));
        break;
      case DataType::float16: {
        constexpr std::uint16_t one_to_three[] = {0x3c00, 0x4000, 0x4200};
        store(one_to_three[value - 1]);
        break;
      }
      case DataType::bfloat16: {
        constexpr std::uint16_t one_to_three[] = {0x3f80, 0x4000, 0x4040};
        store(one_to_three[value - 1]);
        break;
      }
      default:
        at[0] = static_cast<std::byte>(value);
    }
  }
  return bytes;
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const OpCase& op) {
  return out << to_string(op.key) << ": " << op.count << " x " << name_of(op.type) << " "
             << name_of(op.op) << (op.in_place ? " in place" : "") << ", segments of "
             << op.segment_elements << ", " << name_of(op.quantization.algorithm) << " to "
             << name_of(op.quantization.code) << (op.feedback ? " with feedback" : "")
             << (op.pairwise ? ", pairwise" : "");
}

RingHarness::RingHarness(const RingOptions& options) : options_(options), rng_(options.seed) {
  if (options.gpus != 0)
    cuda_ = std::make_unique<pccl_test::InstalledRuntime>(pccl_test::FakeRuntime::Worker::nobody,
                                                          options.seed);
  for (std::uint32_t rank = 0; rank < options.world; ++rank) {
    Rank& made = *ranks_.emplace_back(std::make_unique<Rank>());
    made.exchange.enter_epoch(Epoch{1});
    made.lanes.resize(options.lanes);
    for (Lane& lane : made.lanes) {
      lane.speed = rng_.chance(0.2) ? 0.05 : rng_.chance(0.5) ? 0.5 : 1;
      lane.shares_memory = rng_.chance(0.5);
    }
  }
}

plan::RingSchedule RingHarness::schedule_of(const OpCase& op, std::uint32_t rank) const {
  if (op.segment_elements == 0)
    return collective::schedule_of(rank, options_.world, op.count,
                                   {.type = op.type, .op = op.op, .quantization = op.quantization},
                                   {}, op.pairwise);
  return {rank, options_.world, op.count, op.segment_elements, limits::ring_depth, op.pairwise};
}

std::size_t RingHarness::add(const OpCase& what) {
  Op& op = ops_.emplace_back(Op{what, {}});
  for (std::uint32_t rank = 0; rank < options_.world; ++rank) {
    Part& part = op.parts.emplace_back();
    part.input =
        small_numbers(what.type, what.count, options_.seed + 100 * rank + what.key.tag.value);
    part.send = part.input;
    part.receive.assign(what.in_place ? 0 : part.input.size(), scribble);
    for (std::uint64_t i = 0; what.feedback && i < what.count; ++i)
      part.owed.push_back((static_cast<float>(rng_.below(1001)) - 500) / 1000);
    part.residual = part.owed;
    if (!on_gpu(rank)) continue;
    cuda().adopt(part.send.data(), part.send.size());
    cuda().adopt(part.receive.data(), part.receive.size());
    cuda().adopt(part.residual.data(), part.residual.size() * sizeof(float));
  }
  return ops_.size() - 1;
}

void RingHarness::launch(std::uint32_t rank, std::size_t index) {
  Op& op = ops_[index];
  Part& part = op.parts[rank];
  // Not null for an op without elements, and the same pointer when in place.
  static std::byte nowhere[2];
  void* const send = part.send.empty() ? &nowhere[0] : part.send.data();
  void* const receive = op.what.in_place       ? send
                        : part.receive.empty() ? &nowhere[1]
                                               : part.receive.data();
  Operand operand{send,
                  receive,
                  op.what.type,
                  op.what.op,
                  op.what.quantization,
                  part.residual.empty() ? nullptr : part.residual.data()};
  if (on_gpu(rank) && op.what.count > 0)
    operand.workspace =
        device::make_workspace(0, nullptr,
                               {.bytes = part.send.size(),
                                .way_back_bytes = op.what.in_place ? part.send.size() : 0,
                                .residual_bytes = part.residual.size() * sizeof(float)});
  part.reduce = exchange(rank).start(op.what.key, schedule_of(op.what, rank), operand);
}

void RingHarness::launch_everywhere(std::size_t op) {
  for (std::uint32_t rank = 0; rank < options_.world; ++rank) launch(rank, op);
}

void RingHarness::cancel(std::uint32_t rank, std::size_t op) {
  exchange(rank).cancel(ops_[op].what.key);
}

void RingHarness::roll_back(std::uint32_t rank, std::size_t index) {
  Part& part = ops_[index].parts[rank];
  if (part.reduce) part.reduce->roll_back();
  expect_input_restored(rank, index);
  forget(rank, index);
  std::fill(part.send.begin(), part.send.end(), scribble);
  std::fill(part.receive.begin(), part.receive.end(), scribble);
  part.scribbled.assign(part.input.size(), scribble);
  std::fill(part.residual.begin(), part.residual.end(), 7.0f);
}

void RingHarness::forget(std::uint32_t rank, std::size_t index) {
  Part& part = ops_[index].parts[rank];
  if (part.reduce) part.reduce->forget_way_back();
  part.reduce.reset();
}

void RingHarness::release(std::size_t index) {
  for (Part& part : ops_[index].parts) {
    for (void* const memory :
         {static_cast<void*>(part.send.data()), static_cast<void*>(part.receive.data()),
          static_cast<void*>(part.residual.data())})
      if (cuda_) cuda().release(memory);
    part = {};
  }
}

// ---- lanes

std::size_t RingHarness::piece(std::size_t most) {
  const std::size_t largest = std::min(most, options_.largest_piece);
  return 1 + rng_.below(rng_.chance(0.2) ? std::min<std::size_t>(largest, 16) : largest);
}

void RingHarness::expect_permitted(Rank& sender, const Segment& segment) {
  if (segment.position < sender.credited[segment.op]) return;
  std::erase_if(sender.eager, [&](const auto& op) { return sender.finished.contains(op.first); });
  sender.eager[segment.op] += limits::eager_cost(segment.length);
  const std::size_t eager =
      std::accumulate(sender.eager.begin(), sender.eager.end(), std::size_t{0},
                      [](std::size_t sum, const auto& op) { return sum + op.second; });
  EXPECT_LE(sender.eager[segment.op], limits::eager_op_bytes);
  EXPECT_LE(eager, limits::eager_link_bytes);
}

bool RingHarness::send_some(std::uint32_t rank, Lane& lane) {
  Exchange& sender = exchange(rank);
  if (!lane.sending) {
    if (!sender.has_segment_to_send()) return false;
    lane.sending = sender.next_segment();
    if (!lane.sending) return true;  // what was queued is void
    expect_permitted(*ranks_[rank], *lane.sending);
    lane.headers.push_back(*lane.sending);
    lane.handed = 0;
  }
  const Segment segment = *lane.sending;
  if (segment.length > 0) {
    if (lane.pipe.size() >= pipe_bytes) return false;
    const std::size_t some = piece(segment.length - lane.handed);
    const auto whole = sender.payload(segment);
    if (whole.empty()) {
      lane.pipe.resize(lane.pipe.size() + some);
    } else {
      EXPECT_EQ(whole.size(), segment.length);
      const auto part = whole.subspan(lane.handed, some);
      lane.pipe.insert(lane.pipe.end(), part.begin(), part.end());
    }
    lane.handed += some;
  }
  if (lane.handed < segment.length) return true;
  lane.sending.reset();
  sender.segment_sent(segment);
  return true;
}

bool RingHarness::receive_some(std::uint32_t rank, Lane& lane) {
  Exchange& receiver = next_of(rank);
  if (!lane.receiving) {
    if (lane.headers.empty()) return false;
    lane.receiving = lane.headers.front();
    lane.headers.pop_front();
    lane.received = 0;
    std::string why;
    EXPECT_TRUE(receiver.segment_begins(*lane.receiving, why)) << why;
  }
  const Segment segment = *lane.receiving;
  if (segment.length > 0) {
    if (lane.pipe.empty()) return false;
    std::size_t some =
        piece(std::min<std::size_t>(segment.length - lane.received, lane.pipe.size()));
    const auto whole = receiver.destination(segment);
    const std::size_t absorbed =
        lane.shares_memory
            ? receiver.absorb(segment, lane.received, std::span(lane.pipe).first(some))
            : 0;
    if (absorbed > 0) {
      EXPECT_LE(absorbed, some);
      some = absorbed;
    } else if (!whole.empty()) {
      EXPECT_EQ(whole.size(), segment.length);
      std::copy_n(lane.pipe.begin(), some,
                  whole.begin() + static_cast<std::ptrdiff_t>(lane.received));
    }
    lane.pipe.erase(lane.pipe.begin(), lane.pipe.begin() + static_cast<std::ptrdiff_t>(some));
    lane.received += some;
  }
  if (lane.received < segment.length) return true;
  lane.receiving.reset();
  receiver.segment_arrived(segment);
  return true;
}

bool RingHarness::move(std::uint32_t rank, std::size_t index, Move what) {
  Rank& sender = *ranks_[rank];
  Lane& lane = sender.lanes[index];
  switch (what) {
    case Move::send:
      return send_some(rank, lane);
    case Move::receive:
      return receive_some(rank, lane);
    case Move::send_credit: {
      if (!next_of(rank).has_credit_to_send()) return false;
      if (const auto credit = next_of(rank).next_credit()) lane.credits.push_back(*credit);
      return true;
    }
    case Move::receive_credit: {
      if (lane.credits.empty()) return false;
      const Credit credit = lane.credits.front();
      lane.credits.pop_front();
      sender.credited[credit.op] = std::max(sender.credited[credit.op], credit.limit);
      sender.eager.erase(credit.op);
      sender.exchange.credit_arrived(credit);
      ++credits_delivered_;
      return true;
    }
  }
  return false;
}

bool RingHarness::sweep_once(bool all) {
  std::vector<std::uint32_t> moves(options_.world * options_.lanes * 4);
  std::iota(moves.begin(), moves.end(), 0u);
  for (std::size_t left = moves.size(); left > 1; --left)
    std::swap(moves[left - 1], moves[rng_.below(left)]);
  bool moved = false;
  for (const std::uint32_t choice : moves) {
    const std::uint32_t rank = choice / 4 % options_.world, lane = choice / 4 / options_.world;
    if (all || rng_.chance(ranks_[rank]->lanes[lane].speed))
      moved |= move(rank, lane, static_cast<Move>(choice % 4));
  }
  return let_gpus_work() || moved;
}

// The work of all ranks is done piece by piece, in any order that their queues allow.
bool RingHarness::let_gpus_work() {
  if (!cuda_) return false;
  bool worked = false;
  for (std::uint64_t pieces = 1 + rng_.below(12 * options_.world); pieces > 0; --pieces)
    worked |= cuda().step();
  for (const auto& rank : ranks_) rank->exchange.collect();
  return worked;
}

void RingHarness::sweep() {
  sweep_once(false);
}

void RingHarness::run_until_stalled() {
  while (sweep_once(false) || sweep_once(true)) {
    if (testing::Test::HasFailure()) return;
  }
}

bool RingHarness::finished(std::uint32_t rank, std::size_t op) const {
  return ranks_[rank]->finished.contains(ops_[op].what.key);
}

bool RingHarness::finished_everywhere(std::size_t op) const {
  for (std::uint32_t rank = 0; rank < options_.world; ++rank)
    if (!finished(rank, op)) return false;
  return true;
}

// ---- what must hold

Bytes RingHarness::expected_result(const Op& op) const {
  Bytes result = op.parts.front().input;
  for (std::size_t rank = 1; rank < op.parts.size(); ++rank)
    kernels::reduce(op.what.op, op.what.type, result.data(), result.data(),
                    op.parts[rank].input.data(), op.what.count);
  kernels::finalize(op.what.op, op.what.type, result.data(), op.what.count, options_.world);
  return result;
}

// Segment by segment along the ring, with nothing under way at the same time.
Bytes RingHarness::expected_of_codes(const Op& op,
                                     std::vector<std::vector<float>>& residuals) const {
  const SegmentCoder coder(op.what.type, op.what.op, op.what.quantization);
  const std::size_t element = size_of(op.what.type);
  Bytes result(op.what.count * element), segment;
  for (std::uint32_t first = 0; first < options_.world; ++first) {
    const plan::RingSchedule schedule = schedule_of(op.what, first);
    for (std::uint32_t position = 0; position < schedule.positions(); ++position) {
      if (schedule.transfer(position).step > 0) continue;
      const plan::Range range = schedule.sent(position);
      const auto input = [&](std::uint32_t hop) {
        const Part& part = op.parts[(first + hop) % options_.world];
        return part.input.data() + range.begin * element;
      };
      const auto residual = [&](std::uint32_t hop) -> float* {
        std::vector<float>& all = residuals[(first + hop) % options_.world];
        return all.empty() ? nullptr : all.data() + range.begin;
      };
      const std::uint32_t last = options_.world - 1;
      segment.resize(coder.bytes(range.count));
      coder.encode(segment.data(), input(0), range.count, residual(0));
      for (std::uint32_t hop = 1; hop < last; ++hop)
        coder.reduce(segment.data(), input(hop), range.count, residual(hop));
      coder.complete(segment.data(), input(last), range.count, options_.world, residual(last));
      coder.decode(result.data() + range.begin * element, segment.data(), range.count);
    }
  }
  return result;
}

void RingHarness::expect_finished_with_right_result(std::size_t index) {
  const Op& op = ops_[index];
  std::vector<std::vector<float>> residuals;
  for (const Part& part : op.parts) residuals.push_back(part.owed);
  const Bytes expected =
      op.what.quantization ? expected_of_codes(op, residuals) : expected_result(op);
  for (std::uint32_t rank = 0; rank < options_.world; ++rank) {
    const Part& part = op.parts[rank];
    ASSERT_TRUE(finished(rank, index)) << "rank " << rank << ", " << op.what;
    EXPECT_TRUE((op.what.in_place ? part.send : part.receive) == expected)
        << "rank " << rank << ", " << op.what;
    EXPECT_TRUE(part.residual == residuals[rank]) << "rank " << rank << ", " << op.what;
    if (!op.what.in_place) {
      EXPECT_TRUE(part.send == part.input) << "rank " << rank;
    }
    if (part.reduce == nullptr || op.what.quantization) continue;
    const std::uint64_t bytes_sent = part.reduce->tx_bytes(), bytes = expected.size();
    const std::uint64_t slack = 2 * size_of(op.what.type) * options_.world;
    EXPECT_LE(bytes_sent, 2 * bytes * (options_.world - 1) / options_.world + slack);
    EXPECT_GE(bytes_sent + slack, 2 * bytes * (options_.world - 1) / options_.world);
  }
}

void RingHarness::expect_input_restored(std::uint32_t rank, std::size_t op) {
  const Part& part = ops_[op].parts[rank];
  EXPECT_TRUE(part.send == part.input) << "rank " << rank << ", " << ops_[op].what;
  EXPECT_TRUE(part.residual == part.owed) << "rank " << rank << ", " << ops_[op].what;
}

void RingHarness::expect_untouched_since_roll_back(std::uint32_t rank, std::size_t op) {
  const Part& part = ops_[op].parts[rank];
  EXPECT_TRUE(part.send == part.scribbled) << "rank " << rank << ", " << ops_[op].what;
  if (!ops_[op].what.in_place) {
    EXPECT_TRUE(part.receive == part.scribbled) << "rank " << rank << ", " << ops_[op].what;
  }
  for (const float residual : part.residual) ASSERT_EQ(residual, 7.0f);
}

void RingHarness::exhaust_budgets(bool scratch) {
  // Segments of one byte that the next rank never launches: there are enough of them.
  constexpr std::uint64_t hog_tags = 1'000'000, hogs = 16;
  constexpr std::size_t of_an_op = limits::eager_op_bytes / limits::least_eager_cost_bytes;
  static_assert(hogs * of_an_op >= 2 * limits::shared_scratch_bytes / limits::segment_bytes);
  const auto slices = static_cast<std::uint32_t>(of_an_op / (2 * (options_.world - 1)) + 1);
  for (std::uint32_t rank = 0; rank < options_.world; ++rank)
    for (std::uint64_t hog = 0; hog < hogs; ++hog) {
      const OpKey key = op_key(hog_tags + rank * hogs + hog);
      const std::size_t op = add({.key = key,
                                  .count = slices * options_.world,
                                  .type = DataType::uint8,
                                  .segment_elements = 1});
      launch(rank, op);
      std::string why;
      for (std::uint32_t position = 0; scratch && position < of_an_op; ++position)
        EXPECT_TRUE(exchange(rank).segment_begins({key, position, 1}, why)) << why;
    }
  run_until_stalled();
}

}  // namespace pccl::collective::test
