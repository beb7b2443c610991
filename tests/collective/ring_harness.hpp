// A ring of exchanges in memory: between neighbours lie lanes with a little buffer, and a seeded
// generator decides who moves next and how many bytes. It plays PeerCore's part honestly and checks
// what every honest peer relies on: nobody sends without credit, nobody's segment is refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/rng.hpp"
#include "collective/exchange.hpp"
#include "device/fake_runtime.hpp"

namespace pccl::collective::test {

using Bytes = std::vector<std::byte>;

inline OpKey op_key(std::uint64_t tag, std::uint32_t launch = 0, std::uint64_t epoch = 1) {
  return {Epoch{epoch}, Tag{tag}, Launch{launch}};
}

struct OpCase {
  OpKey key = op_key(1);
  std::uint64_t count = 1;
  DataType type = DataType::int32;
  RedOp op = RedOp::sum;
  bool in_place = false;
  std::uint64_t segment_elements = 0;  // 0: as schedule_of() says
  QuantizationOptions quantization{};
  bool feedback = false;  // with residuals at every rank
  bool pairwise = false;  // of a world of two
};

std::ostream& operator<<(std::ostream& out, const OpCase& op);

struct RingOptions {
  std::uint32_t world = 2;
  std::uint32_t lanes = 1;
  std::uint64_t seed = 1;
  std::size_t largest_piece = 100'000;  // bytes that move at once
  std::uint32_t gpus = 0;               // bit r: the memory of rank r is a GPU's
};

// Which ranks are on GPUs: of every third seed none, of the next all, then some.
constexpr std::uint32_t gpus_of(std::uint64_t seed, std::uint32_t world) {
  const std::uint32_t all = (1u << world) - 1;
  return seed % 3 == 0 ? 0 : seed % 3 == 1 ? all : static_cast<std::uint32_t>(seed / 3 % all + 1);
}

class RingHarness {
 public:
  explicit RingHarness(const RingOptions& options);

  // Prepares an op at all ranks, then launch() starts it at one.
  std::size_t add(const OpCase& op);
  void launch(std::uint32_t rank, std::size_t op);
  void launch_everywhere(std::size_t op);
  void cancel(std::uint32_t rank, std::size_t op);
  // What the caller of an op does after a failure; from then on the buffers are scribbled over and
  // watched.
  void roll_back(std::uint32_t rank, std::size_t op);
  void forget(std::uint32_t rank, std::size_t op);
  void release(std::size_t op);  // its buffers; it has been forgotten by all ranks

  void sweep();              // every lane may move something, in random order
  void run_until_stalled();  // until nobody can move
  bool finished(std::uint32_t rank, std::size_t op) const;
  bool finished_everywhere(std::size_t op) const;

  void expect_finished_with_right_result(std::size_t op);
  void expect_input_restored(std::uint32_t rank, std::size_t op);
  void expect_untouched_since_roll_back(std::uint32_t rank, std::size_t op);

  // Uses up the budget for eager segments towards every next rank, so that ops depend on credit
  // alone; with `scratch`, also all shared scratch blocks, so that ops get their private minimum.
  void exhaust_budgets(bool scratch);

  Exchange& exchange(std::uint32_t rank) { return ranks_[rank]->exchange; }
  Rng& rng() { return rng_; }
  std::uint32_t world() const { return options_.world; }
  pccl_test::FakeRuntime& cuda() { return **cuda_; }
  std::uint64_t credits_delivered() const { return credits_delivered_; }

 private:
  struct Lane {  // from one rank to the next
    std::optional<Segment> sending;
    std::size_t handed = 0;
    std::deque<Segment> headers;
    Bytes pipe;
    std::optional<Segment> receiving;
    std::size_t received = 0;
    std::deque<Credit> credits;  // on their way back
    double speed = 1;
    bool shares_memory = false;  // the receiver may use the bytes in the pipe
  };
  struct Rank {
    std::set<OpKey> finished;
    Exchange exchange{[this](const OpKey& key) { finished.insert(key); }, {}, [] {}};
    std::vector<Lane> lanes;  // to the next rank
    std::map<OpKey, std::uint32_t> credited;
    std::map<OpKey, std::size_t> eager;  // bytes under way that no credit covers
  };
  struct Part {  // of an op, at one rank
    Bytes input, send, receive;
    std::shared_ptr<RingOp> reduce;
    Bytes scribbled;                    // empty: not rolled back
    std::vector<float> owed, residual;  // before the op and now; empty without error feedback
  };
  struct Op {
    OpCase what;
    std::vector<Part> parts;
  };

  enum class Move : std::uint8_t { send, receive, send_credit, receive_credit };
  bool move(std::uint32_t rank, std::size_t lane, Move what);
  bool send_some(std::uint32_t rank, Lane& lane);
  bool receive_some(std::uint32_t rank, Lane& lane);
  void expect_permitted(Rank& sender, const Segment& segment);
  bool sweep_once(bool all);
  std::size_t piece(std::size_t most);
  Exchange& next_of(std::uint32_t rank) { return exchange((rank + 1) % options_.world); }
  plan::RingSchedule schedule_of(const OpCase& op, std::uint32_t rank) const;
  Bytes expected_result(const Op& op) const;
  Bytes expected_of_codes(const Op& op, std::vector<std::vector<float>>& residuals) const;

  bool on_gpu(std::uint32_t rank) const { return (options_.gpus >> rank & 1) != 0; }
  bool let_gpus_work();

  RingOptions options_;
  std::unique_ptr<pccl_test::InstalledRuntime> cuda_;  // where a rank is on a GPU
  Rng rng_;
  std::vector<std::unique_ptr<Rank>> ranks_;
  std::deque<Op> ops_;
  std::uint64_t credits_delivered_ = 0;
};

}  // namespace pccl::collective::test
