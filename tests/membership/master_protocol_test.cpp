// What a master takes from whom. An illegal message costs its sender the connection, with a reason,
// and nobody else anything.
#include <gtest/gtest.h>

#include "base/limits.hpp"
#include "base/live_bytes.hpp"
#include "membership/master_bench.hpp"

namespace pccl::membership {
namespace {

using test::address;
using test::bench_term;
using test::loopback;
using test::MasterBench;
using wire::Kind;

// ---- every kind of message in every standing of its sender

enum class Standing { unintroduced, pending, candidate, accepted, calling, linking };
enum class Reaction { keeps, refuses, removes, lets_go };

std::string_view name_of(Standing standing) {
  constexpr std::string_view names[] = {"unintroduced", "pending", "candidate",
                                        "accepted",     "calling", "linking"};
  return names[static_cast<std::size_t>(standing)];
}

// docs/protocol.md has the same table in words.
Reaction expected(Kind kind, Standing standing) {
  if (standing == Standing::unintroduced)
    // A resume of the term of this bench: of somebody that this master has removed, or never had.
    return kind == Kind::hello    ? Reaction::keeps
           : kind == Kind::resume ? Reaction::removes
                                  : Reaction::refuses;
  const bool admitted = standing != Standing::pending && standing != Standing::candidate;
  switch (kind) {
    case Kind::heartbeat:
    case Kind::links_ready:
    case Kind::link_failed:
    case Kind::sync_done:
    case Kind::state_described:
    case Kind::path_measured:
      return Reaction::keeps;
    case Kind::leave:
      return Reaction::lets_go;
    case Kind::call:
    case Kind::sync_offer:
      return admitted && standing != Standing::calling ? Reaction::keeps : Reaction::removes;
    case Kind::op_begin:
    case Kind::op_done:
      return admitted ? Reaction::keeps : Reaction::removes;
    default:
      return Reaction::removes;
  }
}

// A bench with two accepted bystanders, and the connection of a third in the standing.
struct Scene {
  explicit Scene(Standing standing) : bystanders(bench.join_many(2)) {
    switch (standing) {
      case Standing::unintroduced:
        actor = bench.open();
        break;
      case Standing::pending:
        actor = bench.greet();
        break;
      case Standing::candidate:
        actor = bench.greet();
        bench.call_update(bystanders);
        break;
      case Standing::accepted:
        actor = bench.join();
        break;
      case Standing::calling:
        actor = bench.join();
        bench.call_update({actor});
        break;
      case Standing::linking:
        actor = bench.join();
        bench.close(bench.join());  // a recovery is proposed
        break;
    }
    bench.forget_what_was_sent();
  }
  MasterBench bench;
  std::vector<std::uint64_t> bystanders;
  std::uint64_t actor = 0;
};

class MasterTable : public testing::TestWithParam<Standing> {};
INSTANTIATE_TEST_SUITE_P(Standings, MasterTable,
                         testing::Values(Standing::unintroduced, Standing::pending,
                                         Standing::candidate, Standing::accepted, Standing::calling,
                                         Standing::linking),
                         [](const auto& param) { return std::string(name_of(param.param)); });

TEST_P(MasterTable, EveryKindOfMessage) {
  for (std::size_t index = 0; index < std::variant_size_v<wire::Message>; ++index) {
    Scene scene(GetParam());
    MasterBench& bench = scene.bench;
    const wire::Message message = test::one_of_each_kind(bench.epoch())[index];
    const Kind kind = wire::kind_of(message);
    SCOPED_TRACE(wire::name_of(kind));
    bench.frame(scene.actor, message);
    const Reaction reaction = expected(kind, GetParam());
    EXPECT_EQ(bench.closed(scene.actor), reaction != Reaction::keeps);
    EXPECT_EQ(!bench.refusal(scene.actor).empty(), reaction == Reaction::refuses);
    EXPECT_EQ(!bench.removal(scene.actor).empty(), reaction == Reaction::removes);
    if (reaction == Reaction::removes && kind != Kind::resume) {
      EXPECT_NE(bench.removal(scene.actor).find("protocol error"), std::string::npos);
    }
    for (const std::uint64_t bystander : scene.bystanders) EXPECT_TRUE(bench.is_open(bystander));
    // The group goes on without the actor, or with it.
    bench.links_stand();
    EXPECT_TRUE(bench.group().linked);
  }
}

TEST_P(MasterTable, EveryKindOfMessageOfAnotherTerm) {
  if (GetParam() == Standing::unintroduced) return;  // a hello is of no term
  for (std::size_t index = 0; index < std::variant_size_v<wire::Message>; ++index)
    for (const Term term : {Term{0}, Term{6}, Term{8}}) {
      Scene scene(GetParam());
      scene.bench.frame(scene.actor, test::one_of_each_kind(scene.bench.epoch())[index], term);
      EXPECT_TRUE(scene.bench.closed(scene.actor));
      EXPECT_NE(scene.bench.removal(scene.actor).find("of term " + std::to_string(term.value)),
                std::string::npos);
    }
}

TEST_P(MasterTable, TheConnectionEnds) {
  Scene scene(GetParam());
  scene.bench.close(scene.actor);
  for (const std::uint64_t bystander : scene.bystanders)
    EXPECT_TRUE(scene.bench.is_open(bystander));
  scene.bench.links_stand();
  EXPECT_TRUE(scene.bench.group().linked);
  EXPECT_EQ(scene.bench.group().ring.size(), 2u);
  EXPECT_EQ(scene.bench.machine().counts().global_world_size, 2u);
}

TEST(MasterConnections, UnknownOnesAreIgnored) {
  MasterBench bench;
  bench.frame(77, wire::Hello{});
  bench.close(78);
  const std::uint64_t refused = bench.open();
  bench.frame(refused, wire::Leave{});
  ASSERT_TRUE(bench.closed(refused));
  bench.frame(refused, wire::Hello{});  // it was on its way when the master closed
  EXPECT_TRUE(bench.sent<wire::Welcome>(refused).empty());
}

// ---- hello

TEST(Hello, IsWelcomedWithAnIdAndTheTimeout) {
  MasterBench bench;
  const std::uint64_t a = bench.greet(), b = bench.greet();
  EXPECT_TRUE(bench.id(a));
  EXPECT_NE(bench.id(a), bench.id(b));
  EXPECT_EQ(bench.last<wire::Welcome>(a).peer_timeout_ms, 3000u);
}

TEST(Hello, OfAnyTermIsTaken) {
  for (const Term term : {Term{0}, Term{3}, bench_term}) {
    MasterBench bench;
    const std::uint64_t connection = bench.open();
    bench.frame(connection, wire::Hello{}, term);
    EXPECT_EQ(bench.sent<wire::Welcome>(connection).size(), 1u);
  }
}

TEST(Hello, OfAnotherVersionOrProgramIsRefusedWithTheReason) {
  MasterBench bench;
  for (const unsigned version : {0u, 1u, 3u, 65535u}) {
    const std::uint64_t connection = bench.open();
    bench.frame(connection, wire::Hello{.version = static_cast<std::uint16_t>(version)});
    EXPECT_TRUE(bench.closed(connection));
    EXPECT_NE(bench.refusal(connection).find("version " + std::to_string(version)),
              std::string::npos);
  }
  const std::uint64_t stranger = bench.open();
  bench.frame(stranger, wire::Hello{.magic = 0x20544547});
  EXPECT_TRUE(bench.closed(stranger));
  EXPECT_NE(bench.refusal(stranger), "");
  EXPECT_EQ(bench.machine().pending_peers(), 0u);
}

TEST(Hello, LoopbackAndOtherAddressesDoNotMix) {
  for (const bool local_first : {true, false}) {
    MasterBench bench;
    bench.join({}, local_first ? loopback() : address(1));
    const std::uint64_t other = bench.open(local_first ? address(1) : loopback());
    bench.frame(other, wire::Hello{});
    EXPECT_TRUE(bench.closed(other));
    EXPECT_NE(bench.refusal(other).find("loopback"), std::string::npos);
    EXPECT_EQ(bench.machine().counts().global_world_size, 1u);
  }
}

TEST(Hello, ARunHasALimit) {
  MasterBench bench;
  bench.join();
  for (std::size_t peer = 1; peer < limits::peers; ++peer)
    bench.greet(Group{static_cast<std::uint32_t>(peer)});
  const std::uint64_t one_more = bench.open();
  bench.frame(one_more, wire::Hello{});
  EXPECT_NE(bench.refusal(one_more).find("limit"), std::string::npos);
}

// ---- those who have not said hello

TEST(Unintroduced, AFloodFromOneAddressPushesOutItsOwnOldest) {
  MasterBench bench;
  const std::uint64_t stranger = bench.open(address(2));
  std::vector<std::uint64_t> flood;
  for (std::size_t count = 0; count < limits::unintroduced_per_address; ++count)
    flood.push_back(bench.open(address(9)));
  for (const std::uint64_t connection : flood) EXPECT_TRUE(bench.is_open(connection));
  for (std::size_t count = 0; count < 100; ++count) {
    flood.push_back(bench.open(address(9)));
    EXPECT_TRUE(bench.closed(flood[count])) << count;
    EXPECT_NE(bench.refusal(flood[count]).find("too many connections from your address"),
              std::string::npos);
    EXPECT_TRUE(bench.is_open(flood[count + 1]));
  }
  EXPECT_TRUE(bench.is_open(stranger));
  bench.frame(stranger, wire::Hello{});
  EXPECT_EQ(bench.sent<wire::Welcome>(stranger).size(), 1u);
}

TEST(Unintroduced, AFloodFromManyAddressesPushesOutTheOldest) {
  MasterBench bench;
  std::vector<std::uint64_t> flood;
  for (std::size_t count = 0; count < limits::unintroduced_in_total; ++count)
    flood.push_back(bench.open(address(static_cast<std::uint8_t>(count % 200))));
  for (const std::uint64_t connection : flood) EXPECT_TRUE(bench.is_open(connection));
  bench.open(address(250));
  EXPECT_TRUE(bench.closed(flood[0]));
  EXPECT_TRUE(bench.is_open(flood[1]));
}

TEST(Unintroduced, MemoryIsBounded) {
  auto bench = std::make_unique<MasterMachine>(MasterSettings{.random = [] { return 1u; }});
  const std::size_t before = pccl::test::live_bytes();
  for (std::uint64_t connection = 1; connection < 50'000; ++connection) {
    const IpAddress from{
        false,
        {10, 1, static_cast<std::uint8_t>(connection >> 8), static_cast<std::uint8_t>(connection)}};
    bench->step(ConnectionOpened{Connection{connection}, from}, Instant{});
  }
  EXPECT_LT(pccl::test::live_bytes() - before, std::size_t{200} << 10);
}

TEST(Unintroduced, IntroducedOnesDoNotCount) {
  MasterBench bench;
  for (std::size_t count = 0; count < 2 * limits::unintroduced_per_address; ++count) bench.greet();
  EXPECT_EQ(bench.machine().counts().global_world_size + bench.machine().pending_peers(),
            2 * limits::unintroduced_per_address);
}

TEST(Unintroduced, HaveADeadline) {
  MasterBench bench;
  const std::uint64_t early = bench.open();
  bench.pass(limits::handshake_deadline / 2);
  const std::uint64_t late = bench.open();
  bench.pass(limits::handshake_deadline / 2);
  EXPECT_TRUE(bench.is_open(early)) << "not a moment too soon";
  bench.pass(std::chrono::seconds(1));
  EXPECT_TRUE(bench.closed(early));
  EXPECT_EQ(bench.refusal(early), "no hello in time");
  EXPECT_TRUE(bench.is_open(late));
  bench.pass(limits::handshake_deadline);
  EXPECT_TRUE(bench.closed(late));
}

// ---- calls

TEST(Calls, CompleteForAllWithTheLastVoter) {
  MasterBench bench;
  const auto peers = bench.join_many(3);
  for (const std::uint64_t peer : peers)
    bench.frame(peer, wire::Call{CallId{peer + 40}, wire::CallKind::peers_pending});
  for (const std::uint64_t peer : peers) {
    const auto result = bench.sent<wire::CallResult>(peer);
    ASSERT_EQ(result.size(), 1u);
    EXPECT_EQ(result[0].call, CallId{peer + 40});
    EXPECT_EQ(result[0].status, Status::ok);
    EXPECT_FALSE(result[0].peers_pending);
  }
}

TEST(Calls, ThatCannotMatchFailForAllAndSayWhoWaitsInWhat) {
  MasterBench bench;
  const auto peers = bench.join_many(2);
  bench.frame(peers[0], wire::Call{CallId{1}, wire::CallKind::peers_pending});
  bench.frame(peers[1], wire::Call{CallId{1}, wire::CallKind::update_topology});
  for (const std::uint64_t peer : peers) {
    const auto result = bench.last<wire::CallResult>(peer);
    EXPECT_EQ(result.status, Status::invalid_usage);
    EXPECT_NE(result.why.find("pcclUpdateTopology"), std::string::npos) << result.why;
    EXPECT_NE(result.why.find("pcclArePeersPending"), std::string::npos);
    EXPECT_TRUE(bench.is_open(peer));
  }
}

TEST(Calls, CompleteWhenTheMissingVoterLeaves) {
  MasterBench bench;
  const auto peers = bench.join_many(3);
  for (const std::uint64_t peer : {peers[0], peers[1]})
    bench.frame(peer, wire::Call{CallId{1}, wire::CallKind::peers_pending});
  EXPECT_TRUE(bench.sent<wire::CallResult>(peers[0]).empty());
  bench.close(peers[2]);
  EXPECT_EQ(bench.sent<wire::CallResult>(peers[0]).size(), 1u);
  EXPECT_EQ(bench.sent<wire::CallResult>(peers[1]).size(), 1u);
}

TEST(Calls, MayFollowEachOther) {
  MasterBench bench;
  const auto peers = bench.join_many(2);
  for (std::uint64_t round = 1; round <= 5; ++round) {
    for (const std::uint64_t peer : peers)
      bench.frame(peer, wire::Call{CallId{round}, wire::CallKind::peers_pending});
    EXPECT_EQ(bench.last<wire::CallResult>(peers[0]).call, CallId{round});
  }
}

}  // namespace
}  // namespace pccl::membership
