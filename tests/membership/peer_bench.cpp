#include "membership/peer_bench.hpp"

#include <gtest/gtest.h>

namespace pccl::membership::test {

wire::EpochProposed proposal(std::uint64_t epoch, wire::EpochReason reason, std::size_t world) {
  wire::EpochProposed proposed{.epoch = Epoch{epoch}, .reason = reason, .why = "test"};
  for (const PeerId peer : {self, second, third})
    if (proposed.ring.size() < world) proposed.ring.push_back({peer, {}});
  proposed.counts = {static_cast<std::uint32_t>(world), 1, static_cast<std::uint32_t>(world)};
  return proposed;
}

void PeerBench::step(const PeerEvent& event) {
  for (PeerEffect& effect : machine_.step(event, now_)) {
    if (const auto* wake = std::get_if<PeerWakeAt>(&effect)) wake_at_ = wake->at;
    effects_.push_back(std::move(effect));
  }
}

void PeerBench::from_master(const wire::Message& message, Term term) {
  step(MasterFrame{{term, message}});
}

void PeerBench::tick() {
  ASSERT_TRUE(wake_at_);
  now_ = *wake_at_;
  wake_at_.reset();
  step(PeerTimePassed{});
}

void PeerBench::pass(Duration duration, bool master_alive) {
  for (const Instant end = now_ + duration; wake_at_ && *wake_at_ <= end;) {
    if (master_alive) from_master(wire::Heartbeat{});
    tick();
  }
}

void PeerBench::oversleep(Duration duration) {
  now_ += duration;
  wake_at_.reset();
  step(PeerTimePassed{});
}

void PeerBench::greet() {
  step(ConnectRequested{48150, 48149});
  step(MasterReached{});
}

void PeerBench::pend() {
  greet();
  from_master(wire::Welcome{self, 3000});
}

void PeerBench::accept(std::size_t world) {
  pend();
  from_master(proposal(4, wire::EpochReason::admission, world));
  step(LinksStand{Epoch{4}});
  from_master(wire::EpochInstalled{Epoch{4}, {}});
  ASSERT_EQ(machine_.standing(), PeerMachine::Standing::accepted);
  forget_effects();
}

void PeerBench::recover(std::uint64_t epoch, std::size_t world) {
  from_master(proposal(epoch, wire::EpochReason::recovery, world));
}

void PeerBench::leave() {
  accept();
  from_master(wire::Removed{"test"});
  ASSERT_EQ(machine_.standing(), PeerMachine::Standing::gone);
  forget_effects();
}

OpHandle PeerBench::launch(std::uint64_t tag, wire::Algorithm algorithm, std::uint64_t count) {
  const OpHandle handle{next_handle_++};
  const wire::OpDescriptor what{count, DataType::uint8, RedOp::sum, algorithm};
  const bool star = algorithm == wire::Algorithm::star;
  step(LaunchRequested{handle, Tag{tag}, what, std::vector<std::byte>(star ? count : 0)});
  return handle;
}

void PeerBench::verdict(const OpKey& op, wire::OpOutcome outcome, std::uint64_t number,
                        std::vector<std::byte> result) {
  from_master(wire::OpVerdict{op, VerdictNumber{number}, outcome, std::move(result), "test"});
}

std::optional<Outcome> PeerBench::ended(OpHandle handle) const {
  std::optional<Outcome> outcome;
  for (const CompleteOp& complete : effects<CompleteOp>()) {
    if (complete.handle != handle) continue;
    EXPECT_FALSE(outcome) << "ended twice";
    outcome = complete.outcome;
  }
  return outcome;
}

}  // namespace pccl::membership::test
