// An exchange between two neighbours that send anything, with ops that start, are cancelled, and
// whose buffers are freed at once afterwards.
#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/limits.hpp"
#include "collective/exchange.hpp"
#include "input.hpp"

namespace {

using namespace pccl;
using namespace pccl::collective;
using fuzz::Input;
using fuzz::require;

class ExchangeUnderFuzz {
 public:
  explicit ExchangeUnderFuzz(Input& input) : input_(input) { exchange_.enter_epoch(epoch_); }

  void run() {
    for (int events = 0; events < 2000 && !input_.empty(); ++events) one_event();
    while (!ops_.empty()) cancel(ops_.begin()->first);
  }

 private:
  struct Op {
    std::unique_ptr<std::byte[]> buffer;  // of the exact size, for the sanitizer
    std::shared_ptr<RingOp> reduce;
    bool finished = false;
  };
  struct Lane {
    std::optional<Segment> sending, receiving;
    std::size_t handed = 0, received = 0;
    bool broken = false;  // by a refusal: nothing more comes
  };

  void one_event() {
    Lane& lane = lanes_[input_.below(lanes_.size())];
    switch (input_.below(10)) {
      case 0:
        return start();
      case 1:
        if (!ops_.empty() && input_.below(4) == 0) cancel(some_op());
        return;
      case 2:
        return exchange_.credit_arrived({any_key(), any_position()});
      case 3:
        if (const auto credit = exchange_.next_credit())
          require(credit->limit > 0, "credit is for something");
        return;
      case 4:
        return send_some(lane);
      case 5:
        return pass_or_enter();
      default:
        return receive_some(lane);
    }
  }

  OpKey any_key() {
    return {Epoch{epoch_.value + (input_.below(8) == 0 ? 1 : 0)}, Tag{input_.below(3)},
            Launch{static_cast<std::uint32_t>(input_.below(3))}};
  }
  std::uint32_t any_position() {
    constexpr std::uint32_t far[] = {100, 255, 0x7fffffff, 0xffffffff};
    return input_.below(16) == 0 ? input_.pick(far) : static_cast<std::uint32_t>(input_.below(40));
  }
  OpKey some_op() {
    auto at = ops_.begin();
    std::advance(at, static_cast<std::ptrdiff_t>(input_.below(ops_.size())));
    return at->first;
  }

  void start() {
    const Tag tag{input_.below(3)};
    const OpKey key{epoch_, tag, next_launch_[tag]};
    next_launch_[tag] = next_launch_[tag].next();
    constexpr std::uint64_t segments[] = {1, 7, 64, 1000, 70'000};
    const std::uint64_t segment = input_.pick(segments);
    const std::uint64_t count = segment * input_.below(40) + input_.below(3);
    const auto world = static_cast<std::uint32_t>(2 + input_.below(3));
    Op& op = ops_[key];
    op.buffer = std::make_unique<std::byte[]>(count);
    op.reduce = exchange_.start(key,
                                {static_cast<std::uint32_t>(input_.below(world)), world, count,
                                 segment, limits::ring_depth},
                                {op.buffer.get(), op.buffer.get(), DataType::uint8, RedOp::sum});
  }
  void cancel(const OpKey& key) {
    exchange_.cancel(key);
    Op& op = ops_.at(key);
    op.reduce->roll_back();
    op.reduce->forget_way_back();
    ops_.erase(key);
  }
  void pass_or_enter() {
    if (input_.below(4) != 0) return exchange_.previous_link_replaced();
    if (input_.below(4) != 0) {
      const Tag tag{input_.below(3)};
      exchange_.pass_over({epoch_, tag, next_launch_[tag]});
      next_launch_[tag] = next_launch_[tag].next();
      return;
    }
    while (!ops_.empty()) cancel(ops_.begin()->first);
    epoch_ = epoch_.next();
    next_launch_.clear();
    exchange_.enter_epoch(epoch_);
  }

  void send_some(Lane& lane) {
    if (!lane.sending) {
      lane.sending = exchange_.next_segment();
      lane.handed = 0;
      if (!lane.sending) return;
    }
    const Segment segment = *lane.sending;
    const auto payload = exchange_.payload(segment);
    require(payload.empty() || payload.size() == segment.length, "a payload is of its length");
    const std::size_t some = std::min<std::size_t>(segment.length - lane.handed, piece());
    if (!payload.empty() && some > 0) {
      std::vector<std::byte> copy(some);  // touches what would go to the socket
      std::memcpy(copy.data(), payload.data() + lane.handed, some);
    }
    lane.handed += some;
    if (lane.handed < segment.length) return;
    lane.sending.reset();
    exchange_.segment_sent(segment);
  }

  void receive_some(Lane& lane) {
    if (lane.broken) {
      lane = Lane{};  // a new link
      return;
    }
    if (!lane.receiving) {
      const Segment segment{any_key(), any_position(), any_length()};
      std::string why;
      lane.broken = !exchange_.segment_begins(segment, why);
      require(lane.broken == !why.empty(), "a refusal has a reason");
      if (lane.broken) return;
      lane.receiving = segment;
      lane.received = 0;
    }
    const Segment segment = *lane.receiving;
    const auto place = exchange_.destination(segment);
    require(place.empty() || place.size() == segment.length, "a place is of the frame's length");
    const std::size_t some = std::min<std::size_t>(segment.length - lane.received, piece());
    if (!place.empty() && some > 0) std::memset(place.data() + lane.received, 0x5a, some);
    lane.received += some;
    if (lane.received < segment.length) return;
    lane.receiving.reset();
    exchange_.segment_arrived(segment);
  }
  std::uint32_t any_length() {
    constexpr std::uint32_t lengths[] = {0, 1, 7, 64, 1000, 70'000, limits::segment_bytes};
    return input_.below(8) == 0 ? static_cast<std::uint32_t>(input_.below(256))
                                : input_.pick(lengths);
  }
  std::size_t piece() {
    return input_.below(4) == 0 ? 1 + input_.below(256) : limits::segment_bytes;
  }

  Input& input_;
  Epoch epoch_{5};
  std::map<OpKey, Op> ops_;
  Exchange exchange_{[this](const OpKey& key) {
    require(ops_.contains(key), "only what runs can finish");
    require(!std::exchange(ops_.at(key).finished, true), "an op finishes once");
  }};
  std::map<Tag, Launch> next_launch_;
  std::array<Lane, 3> lanes_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  ExchangeUnderFuzz(input).run();
  return 0;
}
