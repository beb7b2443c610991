#include "sim/application.hpp"

#include <utility>

#include "sim/world.hpp"

namespace pccl::sim {

using namespace std::chrono_literals;

namespace {

constexpr Tag step_tag{0};

bool out_of_the_run(const SimPeer& peer) {
  return peer.machine().standing() != membership::PeerMachine::Standing::accepted;
}

// Everybody's step, the newest wins: this is how a newcomer learns where the group is.
OpSpec step_spec() {
  OpSpec spec;
  spec.tag = step_tag;
  spec.count = 3;
  spec.op = RedOp::max;
  spec.flat = true;
  return spec;
}

Task<bool> agree_on_step(SimPeer& peer) {
  while (peer.world_size() > 1) {
    const OpHandle handle = peer.launch(step_spec(), peer.step, peer.world().rng.chance(0.5));
    peer.doing = "agreeing on the step";
    const Outcome outcome = co_await peer.await(handle);
    if (outcome.ok()) {
      peer.step = peer.result(handle);
      co_return true;
    }
    if (out_of_the_run(peer)) co_return false;
  }
  co_return true;
}

// The shared state, and with it the step; a newcomer begins with anything at all.
Task<bool> synchronise(SimPeer& peer) {
  while (!out_of_the_run(peer)) {
    if (std::exchange(peer.corrupt_next, false))
      peer.state.fill(peer.options().group, peer.revision, peer.world().rng.next());
    peer.doing = "synchronising";
    const Outcome outcome = co_await peer.sync();
    if (outcome.ok()) {
      peer.step = static_cast<std::uint32_t>(peer.revision);
      co_return true;
    }
    if (!std::exchange(peer.state.broken_off, false)) continue;
    peer.state.fill(peer.options().group, 0, peer.world().rng.next());
    peer.revision = 0;  // as if restored from a checkpoint
  }
  co_return false;
}

// An op of the same name with another description, as a buggy application would launch it.
OpSpec misdescribed(OpSpec spec, Rng& rng) {
  switch (rng.below(3)) {
    case 0:
      spec.count += 1 + rng.below(2000);
      break;
    case 1:
      spec.op = spec.op == RedOp::sum ? RedOp::max : RedOp::sum;
      break;
    default:
      spec.type = spec.type == DataType::uint32 ? DataType::float32 : DataType::uint32;
  }
  return spec;
}

}  // namespace

std::vector<OpSpec> ops_of_step(const SimPeer& peer, std::uint32_t step) {
  const WorldOptions& options = const_cast<SimPeer&>(peer).world().options;
  Rng rng(options.seed * 1000003 + peer.options().group.value * 7919 + step);
  std::vector<OpSpec> ops(1 + rng.below(options.ops_per_step));
  for (std::size_t index = 0; index < ops.size(); ++index) {
    OpSpec& spec = ops[index];
    spec.tag = Tag{1 + index};
    spec.pattern = static_cast<std::uint32_t>(rng.next() >> 40);
    spec.type = rng.chance(0.5) ? DataType::uint32 : DataType::float32;
    spec.op = std::array{RedOp::sum, RedOp::sum, RedOp::avg, RedOp::max, RedOp::min}[rng.below(5)];
    const std::uint64_t most = options.largest_op_bytes / 4;
    const std::uint64_t size = rng.below(20);
    if (size == 0)
      spec.count = rng.below(4);
    else if (size < 5)
      spec.count = 1 + rng.below(1024);  // a star
    else if (size < 16)
      spec.count = 1025 + rng.below(most / 4);
    else
      spec.count = 1025 + rng.below(most);
  }
  return ops;
}

Task<bool> connect_patiently(SimPeer& peer) {
  for (int attempt = 0; attempt < 20; ++attempt) {
    peer.doing = "connecting";
    const Outcome outcome = co_await peer.connect();
    if (outcome.ok()) co_return true;
    co_await peer.sleep(peer.world().between(50ms, 500ms));
  }
  co_return false;
}

Task<bool> take_in_newcomers(SimPeer& peer) {
  using wire::CallKind;
  while (!out_of_the_run(peer)) {
    bool update = !peer.world().options.asks_before_updating;
    if (std::exchange(peer.call_wrongly_next, false)) update = !update;
    if (!update) {
      peer.doing = "asking for newcomers";
      const auto asked = co_await peer.call(CallKind::peers_pending);
      if (!asked.outcome.ok()) continue;
      if (!asked.peers_pending) co_return true;
    }
    peer.doing = "updating the topology";
    const auto updated = co_await peer.call(CallKind::update_topology);
    if (updated.outcome.ok()) co_return true;
  }
  co_return false;
}

// Not alone in the run, as everybody in it knows.
Task<bool> optimise_topology(SimPeer& peer) {
  while (peer.machine().seen().counts.global_world_size > 1) {
    peer.doing = "optimising the topology";
    const auto optimized = co_await peer.call(wire::CallKind::optimize_topology);
    if (out_of_the_run(peer)) co_return false;
    if (!optimized.outcome.ok()) continue;
    ++peer.optimizations_done;
    co_return true;
  }
  co_return !out_of_the_run(peer);
}

namespace {

// One attempt at all of them; gives those that failed.
Task<std::vector<OpSpec>> reduce_once(SimPeer& peer, std::vector<OpSpec> ops,
                                      std::uint32_t attempt) {
  Rng& rng = peer.world().rng;
  for (std::size_t left = ops.size(); left > 1; --left)
    std::swap(ops[left - 1], ops[rng.below(left)]);
  std::vector<std::pair<OpHandle, OpSpec>> running;
  for (const OpSpec& spec : ops) {
    const bool wrong = std::exchange(peer.misdescribe_next_op, false);
    const OpSpec described = wrong ? misdescribed(spec, rng) : spec;
    running.emplace_back(peer.launch(described, amount_of(peer.slot(), attempt), rng.chance(0.6)),
                         spec);
    if (rng.chance(0.2)) co_await peer.sleep(peer.world().between(0us, 2ms));
  }
  std::vector<OpSpec> failed;
  for (auto& [handle, spec] : running) {
    peer.doing = fmt::format("reducing tag {}", spec.tag.value);
    const Outcome outcome = co_await peer.await(handle);
    if (!outcome.ok()) failed.push_back(spec);
  }
  co_return failed;
}

// The same answer on all peers of a step.
bool goes_back_to_the_sync(const SimPeer& peer) {
  const WorldOptions& options = const_cast<SimPeer&>(peer).world().options;
  return options.syncs_state && Rng(options.seed * 7368787 + peer.step).chance(0.3);
}

}  // namespace

Task<bool> reduce_until_done(SimPeer& peer, std::vector<OpSpec> ops) {
  for (std::uint32_t attempt = 0; !ops.empty(); ++attempt) {
    if (peer.world_size() < 2) co_return true;  // alone: the step is dropped
    ops = co_await reduce_once(peer, std::move(ops), attempt);
    if (out_of_the_run(peer)) co_return false;
  }
  co_return true;
}

Task<bool> synchronise_and_reduce(SimPeer& peer) {
  for (std::uint32_t attempt = 0;; ++attempt) {
    if (!co_await synchronise(peer)) co_return false;
    auto ops = ops_of_step(peer, peer.step);
    if (!goes_back_to_the_sync(peer)) co_return co_await reduce_until_done(peer, std::move(ops));
    if (peer.world_size() < 2) co_return true;
    const auto failed = co_await reduce_once(peer, std::move(ops), attempt);
    if (out_of_the_run(peer)) co_return false;
    if (failed.empty()) co_return true;
  }
}

Task<void> train(SimPeer& peer) {
  const bool syncs = peer.world().options.syncs_state;
  if (syncs) peer.state.fill(peer.options().group, 0, static_cast<std::uint64_t>(peer.slot()));
  if (!co_await connect_patiently(peer)) co_return;
  const bool optimizes = peer.world().options.optimizes;
  for (std::uint32_t iteration = 0;; ++iteration) {
    // Who optimises does so with all groups, also where it is alone in its own.
    const auto company =
        optimizes ? peer.machine().seen().counts.global_world_size : peer.world_size();
    if (iteration > 0 || company < 2)
      if (!co_await take_in_newcomers(peer)) co_return;
    if (optimizes && !co_await optimise_topology(peer)) co_return;
    if (peer.world_size() < 2) {
      co_await peer.sleep(peer.world().between(5ms, 50ms));
      continue;
    }
    if (syncs) {
      if (!co_await synchronise_and_reduce(peer)) co_return;
      if (peer.world_size() < 2) continue;  // the step is dropped
      peer.state.fill(peer.options().group, ++peer.revision);
    } else {
      if (!co_await agree_on_step(peer)) co_return;
      if (!co_await reduce_until_done(peer, ops_of_step(peer, peer.step))) co_return;
    }
    ++peer.step;
    peer.doing = "computing";
    co_await peer.sleep(peer.world().between(10us, peer.world().options.compute) +
                        std::exchange(peer.pause_next, Duration{0}));
  }
}

Task<void> connect_only(SimPeer& peer) {
  peer.doing = "connecting";
  const Outcome outcome = co_await peer.connect();
  if (!outcome.ok()) co_return;
  peer.doing = "idle";
  co_await peer.sleep(10h);
}

}  // namespace pccl::sim
