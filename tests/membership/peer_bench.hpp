// A PeerMachine on a bench: what it wants done, by kind, and helpers that bring it to where a test
// begins.
#pragma once

#include <optional>
#include <vector>

#include "membership/peer_machine.hpp"

namespace pccl::membership::test {

inline constexpr Term master_term{7};
inline constexpr PeerId self{1, 1}, second{2, 2}, third{3, 3};

class PeerBench {
 public:
  PeerBench() = default;

  void step(const PeerEvent& event);
  void from_master(const wire::Message& message, Term term = master_term);
  void tick();
  void pass(Duration duration, bool master_alive);
  void oversleep(Duration duration);

  // ---- where tests begin
  void greet();                                          // connecting, the hello is out
  void pend();                                           // registered
  void accept(std::size_t world = 3);                    // a member; the caller has seen the ring
  void recover(std::uint64_t epoch, std::size_t world);  // a recovery is in force
  void leave();                                          // removed by the master

  OpHandle launch(std::uint64_t tag, wire::Algorithm algorithm = wire::Algorithm::ring,
                  std::uint64_t count = 1'000'000);
  void verdict(const OpKey& op, wire::OpOutcome outcome, std::uint64_t number = 1,
               std::vector<std::byte> result = {});

  template <typename Effect>
  std::vector<Effect> effects() const {
    std::vector<Effect> found;
    for (const PeerEffect& effect : effects_)
      if (const auto* match = std::get_if<Effect>(&effect)) found.push_back(*match);
    return found;
  }
  template <typename Message>
  std::vector<Message> sent() const {
    std::vector<Message> found;
    for (const auto& send : effects<SendToMaster>())
      if (const auto* match = std::get_if<Message>(&send.message)) found.push_back(*match);
    return found;
  }
  std::optional<Outcome> ended(OpHandle handle) const;
  void forget_effects() { effects_.clear(); }

  const PeerMachine& machine() const { return machine_; }
  OpKey key(std::uint64_t tag, std::uint32_t launch = 0) const {
    return {machine_.epoch(), Tag{tag}, Launch{launch}};
  }
  Instant now() const { return now_; }

 private:
  Instant now_{std::chrono::hours(1)};
  std::optional<Instant> wake_at_;
  PeerMachine machine_{PeerSettings{.master_timeout = std::chrono::seconds(60)}};
  std::vector<PeerEffect> effects_;
  std::uint64_t next_handle_ = 1;
};

wire::EpochProposed proposal(std::uint64_t epoch, wire::EpochReason reason, std::size_t world = 3);

}  // namespace pccl::membership::test
