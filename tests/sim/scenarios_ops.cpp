// Ops: stale launches, order of launch, mismatches, calls that cannot match.
#include "sim/scenario.hpp"

namespace pccl::sim {
namespace {

OpSpec sum_of(std::uint64_t tag, std::uint64_t count) {
  OpSpec spec;
  spec.tag = Tag{tag};
  spec.count = count;
  spec.pattern = static_cast<std::uint32_t>(tag * 31);
  return spec;
}

// Peers whose script is the test's: accepted, linked, idle.
struct Idle {
  explicit Idle(std::size_t size, Script script, WorldOptions options = calm_options())
      : world(options) {
    peers.push_back(&world.spawn(
        {.script = [script](SimPeer& peer) -> Task<void> { return first(peer, script); }}));
    world.run_for(50ms);
    for (std::size_t n = 1; n < size; ++n)
      peers.push_back(&world.spawn(
          {.script = [script](SimPeer& peer) -> Task<void> { return other(peer, script); }}));
  }
  static Task<void> first(SimPeer& peer, Script script) {
    (void)co_await connect_patiently(peer);
    co_await peer.sleep(100ms);
    (void)co_await peer.call(wire::CallKind::update_topology);
    co_await script(peer);
    co_await peer.sleep(1000h);
  }
  static Task<void> other(SimPeer& peer, Script script) {
    (void)co_await connect_patiently(peer);
    co_await script(peer);
    co_await peer.sleep(1000h);
  }
  bool all(const std::function<bool(SimPeer&)>& condition, Duration limit = 10s) {
    return world.run_until(
        [&] {
          return std::all_of(peers.begin(), peers.end(),
                             [&](SimPeer* peer) { return !peer->alive() || condition(*peer); });
        },
        limit);
  }

  World world;
  std::vector<SimPeer*> peers;
};

// One of three dies while nobody reduces: each survivor's next launch fails, once, and the one
// after it succeeds, whoever comes first.
Task<void> reduce_after_a_death(SimPeer& peer) {
  co_await peer.sleep(500ms + peer.slot() * 3ms);
  while (peer.reduces_done == 0)
    (void)co_await peer.await(peer.launch(sum_of(5, 5000), amount_of(peer.slot(), 0), true));
}
TEST(Stale, LaunchFailsOnceOnAll) {
  Idle idle(3, reduce_after_a_death);
  idle.world.run_for(300ms);
  idle.peers[1]->kill();
  ASSERT_TRUE(idle.all([](SimPeer& peer) { return peer.reduces_done == 1; }));
  EXPECT_EQ(idle.peers[0]->reduces_failed, 1u);
  EXPECT_EQ(idle.peers[2]->reduces_failed, 1u);
}

// 32 tags of every size, launched in another order on each peer, all at once.
Task<void> launch_in_any_order(SimPeer& peer) {
  std::vector<OpSpec> ops;
  for (std::uint64_t tag = 0; tag < 32; ++tag) ops.push_back(sum_of(tag, 1 + tag * 3000));
  (void)co_await reduce_until_done(peer, ops);
}
TEST(Ops, ThirtyTwoAtOnceInAnyOrder) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    Idle idle(4, launch_in_any_order, calm_options(seed));
    EXPECT_TRUE(idle.all([](SimPeer& peer) { return peer.reduces_done == 32; })) << seed;
    for (SimPeer* peer : idle.peers) EXPECT_EQ(peer->reduces_failed, 0u);
  }
}

// Segments too long to be sent before credit: the receiver's first credit comes before the sender's
// own launch.
Task<void> launch_large_late(SimPeer& peer) {
  if (peer.slot() == 0) co_await peer.sleep(200ms);
  const std::vector<OpSpec> ops(1, sum_of(1, 700'000));
  (void)co_await reduce_until_done(peer, ops);
}
TEST(Ops, CreditThatComesBeforeTheLaunchIsNotLost) {
  for (std::size_t size = 2; size <= 4; ++size) {
    Idle idle(size, launch_large_late);
    EXPECT_TRUE(idle.all([](SimPeer& peer) { return peer.reduces_done == 1; })) << size;
  }
}

// Beyond the eager budget of a link, while the next rank sleeps.
Task<void> launch_many_early(SimPeer& peer) {
  if (peer.slot() == 1) co_await peer.sleep(500ms);
  std::vector<OpSpec> ops;
  for (std::uint64_t tag = 0; tag < 100; ++tag) ops.push_back(sum_of(tag, 20'000));
  (void)co_await reduce_until_done(peer, ops);
}
TEST(Ops, AHundredOpsBeforeTheNextRankLaunchesAny) {
  Idle idle(3, launch_many_early);
  EXPECT_TRUE(idle.all([](SimPeer& peer) { return peer.reduces_done == 100; }));
}

std::vector<OpSpec> every_size() {
  std::vector<OpSpec> ops;
  for (const std::uint64_t count : {0, 1, 2, 3, 7, 1023, 1024, 1025, 1026, 1027, 4099, 60'000})
    for (const RedOp op : {RedOp::sum, RedOp::avg, RedOp::max, RedOp::min})
      for (const DataType type : {DataType::uint32, DataType::float32}) {
        ops.push_back(sum_of(1, count));
        ops.back().op = op;
        ops.back().type = type;
      }
  return ops;
}
Task<void> reduce_every_size(SimPeer& peer) {
  const std::vector<OpSpec> ops = every_size();
  for (const OpSpec& spec : ops) {
    const std::vector<OpSpec> one(1, spec);
    (void)co_await reduce_until_done(peer, one);
  }
}
TEST(Ops, EverySizeInWorldsOfTwoToSix) {
  for (std::size_t size = 2; size <= 6; ++size) {
    Idle idle(size, reduce_every_size);
    EXPECT_TRUE(idle.all([](SimPeer& peer) { return peer.reduces_done == 12 * 8; })) << size;
    for (SimPeer* peer : idle.peers) EXPECT_EQ(peer->reduces_failed, 0u);
  }
}

TEST(Mismatch, DescriptorsFailOnAllAndTheNextCallSucceeds) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Group3 group(3, calm_options(seed));
    group.peers[1]->misdescribe_next_op = true;
    EXPECT_TRUE(group.goes_on(group.peers)) << seed;
    for (SimPeer* peer : group.peers) EXPECT_GE(peer->reduces_failed, 1u) << seed;
  }
}

TEST(Mismatch, CallsThatCannotMatchFailOnAll) {
  Group3 group(3);
  group.peers[2]->call_wrongly_next = true;
  EXPECT_TRUE(group.goes_on(group.peers));
  EXPECT_FALSE(group.peers[2]->call_wrongly_next);
}

// Two in one call, one in no call: that wait is the application's, and has no bound.
TEST(Mismatch, AMissingVoterHoldsUpTheCallUntilItComesOrDies) {
  Group3 group(3);
  group.peers[0]->pause_next = 20s;
  ASSERT_TRUE(group.world.run_until([&] { return group.peers[0]->pause_next == Duration{0}; }, 5s));
  const auto before = group.peers[1]->reduces_done;
  group.world.run_for(10s);
  EXPECT_LT(group.peers[1]->reduces_done, before + 20);
  group.peers[0]->kill();
  EXPECT_TRUE(group.goes_on({group.peers[1], group.peers[2]}, 2s));
}

}  // namespace
}  // namespace pccl::sim
