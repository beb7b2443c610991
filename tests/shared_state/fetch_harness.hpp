// Fetches and holders in memory, in virtual time: each pair has a link with a rate, a delay and a
// few lanes, and a seeded generator decides how many bytes move at once. It plays the node's part,
// injects the faults of a link's options, and checks what must hold at every step: only blocks that
// differ are asked for, none that is verified, and what is verified stays as it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "shared_state/fetch.hpp"
#include "shared_state/holder.hpp"
#include "shared_state/on_gpus.hpp"
#include "shared_state/state.hpp"

namespace pccl::shared_state::test {

using namespace std::chrono_literals;

inline constexpr std::uint64_t never = std::numeric_limits<std::uint64_t>::max();

struct LinkOptions {
  double bytes_per_second = 10e6;
  Duration delay = 5ms;  // one way
  std::uint32_t lanes = 2;
  // After so many bytes of answers have been put on the way:
  std::uint64_t dies_after = never;
  std::uint64_t freezes_after = never;
  std::uint64_t lies_after = never;  // a bit is wrong in every frame that begins later
};

// States of the tests, in blocks of so many bytes.
inline constexpr std::uint32_t small_blocks = 4096;

inline Tensors mixed(std::uint64_t seed, std::size_t count = 60) {
  Rng rng(seed);
  return random_tensors(mixed_sizes(count, small_blocks, rng), rng);
}

inline Tensors one_large(std::uint64_t blocks) {
  Rng rng(1);
  return random_tensors(std::vector<std::uint64_t>{blocks * small_blocks}, rng);
}

class FetchHarness {
 public:
  FetchHarness(std::uint64_t seed, Tensors elected, std::uint32_t block_bytes);

  // A peer that is to get the elected content in place of its own; returns its number.
  std::size_t add_receiver(Tensors own);
  // The same with some bytes changed: in about this part of the blocks.
  std::size_t add_receiver(double part_different);
  std::size_t add_holder();
  // From now on about this part of the tensors of who is added lies on GPUs, which do up to so many
  // pieces of work a tick. `cuda` outlives the harness.
  void use_gpus(pccl_test::FakeRuntime& cuda, double part, std::uint64_t pieces_a_tick = 40);
  void link(std::size_t receiver, std::size_t holder, const LinkOptions& options = {});
  void cut(std::size_t receiver, std::size_t holder, const std::string& why);

  // Until all receivers have finished or have no link left, or so much time has passed.
  void run(Duration at_most = 1000s);
  void tick();  // a millisecond

  void expect_elected(std::size_t receiver);

  const State& elected() const { return elected_; }
  State& state(std::size_t receiver) { return receivers_[receiver]->state; }
  Fetch& fetch(std::size_t receiver) { return receivers_[receiver]->fetch; }
  Holder& holder(std::size_t holder) { return *holders_[holder]; }
  const std::vector<std::string>& lost(std::size_t receiver) const {
    return receivers_[receiver]->lost;
  }
  std::uint64_t block_bytes_sent(std::size_t receiver) const;
  Duration elapsed() const { return now_ - Instant{}; }
  Rng& rng() { return rng_; }

  std::size_t largest_piece = 20'000;
  Duration stall_limit = 3s;
  std::uint64_t pieces_a_tick = 0;

 private:
  struct Parcel {  // bytes on their way: a header, or part of a payload
    Instant due;
    std::optional<Answer> header;
    Bytes bytes;
  };
  struct Lane {
    std::optional<Answer> sending;
    std::size_t handed = 0;
    bool false_bit = false;  // in what is being sent
    std::deque<Parcel> way;
    std::optional<Answer> receiving;
    std::size_t received = 0;
  };
  struct Link {
    std::size_t receiver, holder;
    LinkOptions options;
    std::deque<std::pair<Instant, Request>> requests;
    std::vector<Lane> lanes;
    double budget = 0;  // bytes that may be sent now
    std::uint64_t sent = 0, block_bytes_sent = 0;
    bool is_cut = false;
  };
  struct Receiver {
    Receiver(Tensors own, std::uint32_t block_bytes, const Digest& elected,
             const std::function<Views(Views)>& place)
        : state(std::move(own), block_bytes, place),
          fetch(state.views, state.map, state.digest.blocks, elected) {}
    State state;
    Fetch fetch;
    std::vector<bool> verified;
    std::vector<std::string> lost;
  };

  static PeerId holder_id(std::size_t holder) { return {1, holder + 1}; }
  static PeerId receiver_id(std::size_t receiver) { return {2, receiver + 1}; }
  void ask(Link& link);
  void hear(Link& link);
  void send(Link& link);
  bool send_some(Link& link, Lane& lane);
  void receive(Link& link, Lane& lane);
  bool receive_some(Link& link, Lane& lane);
  void close(Link& link, const std::string& why);
  void settle(std::size_t receiver);
  void work_on_gpus();
  void check_verified(Receiver& receiver, std::uint32_t block);
  bool over() const;

  Rng rng_;
  std::uint32_t block_bytes_;
  State elected_;
  pccl_test::FakeRuntime* cuda_ = nullptr;
  std::function<Views(Views)> place_ = [](Views tensors) { return tensors; };
  std::vector<std::unique_ptr<Views>> held_;
  std::vector<std::unique_ptr<Holder>> holders_;
  std::vector<std::unique_ptr<Receiver>> receivers_;
  std::vector<std::unique_ptr<Link>> links_;
  Instant now_{};
};

}  // namespace pccl::shared_state::test
