// Strangers at every door while four peers work: nobody is removed, no all-reduce fails, joins are
// not delayed, memory stays flat.
#include <cstdio>

#include "e2e/raw_client.hpp"
#include "e2e/run.hpp"
#include "wire/random_message.hpp"

namespace e2e {
namespace {

using pccl::Rng;
using pccl::Term;
namespace wire = pccl::wire;

constexpr bool sanitized = slack > 1;  // whose allocators keep what is freed

std::vector<std::byte> random_bytes(Rng& rng, std::size_t count) {
  std::vector<std::byte> bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(rng.below(256));
  return bytes;
}

std::vector<std::byte> with_length(std::uint32_t length, std::size_t following) {
  std::vector<std::byte> bytes(4 + following);
  for (std::size_t i = 0; i < 4; ++i) bytes[i] = static_cast<std::byte>(length >> (8 * i));
  return bytes;
}

class Garbage : public testing::Test {
 protected:
  // Four peers in a loop that admits who comes.
  void SetUp() override {
    peers = run.join(4);
    for (Peer* peer : peers) peer->say("loop pump count=20000");
    for (Peer* peer : peers) peer->event("ok");
    doors = {run.port()};
    for (Peer* peer : peers) doors.push_back(peer->p2p_port());
  }
  // The loop has gone on all the time, with the same four.
  void TearDown() override {
    if (HasFatalFailure()) return;
    for (Peer* peer : peers) peer->wait_for_progress();
    for (const Line& line : stop_loop(peers)) {
      EXPECT_EQ(line.number("failures"), 0U) << line.whole;
      EXPECT_EQ(line.number("world"), peers.size()) << line.whole;
      EXPECT_LT(line.seconds("longest_pause"), 2.0 * slack) << line.whole;
    }
  }
  void expect_going_on() {
    for (Peer* peer : peers) peer->wait_for_progress();
  }
  // A newcomer joins the loop; how long its pcclConnect took, in seconds.
  double join_one() {
    Peer& newcomer = run.start();
    const Line joined = newcomer.ask("connect");
    EXPECT_TRUE(joined.ok()) << joined.whole;
    newcomer.say("loop pump count=20000");
    newcomer.event("ok");
    peers.push_back(&newcomer);
    return joined.seconds("took");
  }
  std::vector<std::size_t> resident() {
    std::vector<std::size_t> kib{resident_kib(run.master().pid())};
    for (Peer* peer : peers) kib.push_back(peer->resident_kib());
    return kib;
  }

  LiveRun run;
  std::vector<Peer*> peers;
  std::vector<std::uint16_t> doors;
  Rng rng{4711};
};

// Everything that a stranger may say first, to one door.
void send_garbage(std::uint16_t door, Rng& rng) {
  for (const std::size_t count : {1, 8, 13, 100, 5000})
    RawClient(door).send(random_bytes(rng, count));
  for (const std::uint32_t length :
       {0U, 1U, 8U, 9U, 12U, 1024U, 0x10000U, 0x7fffffffU, 0xffffffffU})
    for (const std::size_t following : {0, 4, 64}) {
      RawClient client(door);
      client.send(with_length(length, following));
    }
  wire::test::Randomizer randomizer(rng.next());
  for (std::size_t kind = 0; kind < std::variant_size_v<wire::Message>; ++kind) {
    const auto whole = bytes_of(Term{rng.below(3)}, randomizer.message(kind));
    RawClient(door).send(whole);
    RawClient(door).send(std::span(whole).first(rng.below(whole.size())));
    // Of this kind, and empty.
    std::vector<std::byte> empty(whole.begin(), whole.begin() + wire::frame_overhead_bytes);
    const auto length = with_length(wire::frame_overhead_bytes - wire::length_bytes, 0);
    std::copy(length.begin(), length.end(), empty.begin());
    RawClient(door).send(empty);
    RawClient reset(door);
    reset.send(whole);
    reset.reset();
  }
}

TEST_F(Garbage, BytesOfAllKinds) {
  // The first rounds fill what is allocated once: pools, the kernel's and malloc's caches.
  for (int round = 0; round < 2; ++round)
    for (const std::uint16_t door : doors) send_garbage(door, rng);
  expect_going_on();
  const auto before = resident();
  for (int round = 0; round < 6; ++round)
    for (const std::uint16_t door : doors) send_garbage(door, rng);
  expect_going_on();
  const auto after = resident();
  for (std::size_t i = 0; i < after.size(); ++i) {
    std::printf("%s: %zu KiB before, %zu KiB after\n", i == 0 ? "master" : "peer", before[i],
                after[i]);
    EXPECT_TRUE(sanitized || after[i] < before[i] + 2048);
  }
}

// It says the right words first, and then all the wrong ones.
TEST_F(Garbage, ARegisteredPeerThatMisbehaves) {
  for (std::size_t kind = 0; kind < std::variant_size_v<wire::Message>; ++kind) {
    RawClient client(run.port());
    client.send(Term{}, wire::Hello{.p2p_port = 9});
    const auto welcome = client.receive();
    ASSERT_TRUE(welcome.has_value());
    ASSERT_TRUE(std::holds_alternative<wire::Welcome>(welcome->message));
    wire::test::Randomizer randomizer(rng.next());
    for (int i = 0; i < 5; ++i) client.send(welcome->term, randomizer.message(kind));
    client.send(with_length(0xffffffff, 20));
    EXPECT_TRUE(client.closed_within(patience)) << "kind " << kind + 1;
  }
  expect_going_on();
}

TEST_F(Garbage, HalfOpenConnectionsDoNotDelayAJoin) {
  const double undisturbed = join_one();
  std::vector<RawClient> idle;
  for (const std::uint16_t door : doors)
    for (int i = 0; i < 200; ++i) idle.emplace_back(door);
  const double disturbed = join_one();
  std::printf("join: %.3f s, with 200 idle connections at each door: %.3f s\n", undisturbed,
              disturbed);
  EXPECT_LT(disturbed, undisturbed + 1.0 * slack);
  // They are shown out, all of them, and the loop did not mind.
  for (RawClient& client : idle)
    ASSERT_TRUE(client.closed_within(std::chrono::seconds(10) * slack));
}

TEST_F(Garbage, AByteNowAndThen) {
  const auto hello = bytes_of(Term{}, wire::Hello{.p2p_port = 9});
  std::vector<RawClient> slow;
  for (const std::uint16_t door : doors) slow.emplace_back(door);
  for (std::size_t i = 0; i + 1 < hello.size() && i < 6; ++i) {
    for (RawClient& client : slow) client.send(std::span(hello).subspan(i, 1));
    expect_going_on();
    EXPECT_LT(join_one(), 2.0 * slack);
  }
}

// On every port of everybody, the newcomer's included, from before it is proposed until it has
// joined.
TEST(GarbageAtTheDoor, OfANewcomer) {
  LiveRun run;
  auto peers = run.join(2);
  Peer& newcomer = run.start();
  newcomer.say("connect");
  wait_until_pending(peers);
  std::vector<RawClient> idle;
  peers.push_back(&newcomer);
  for (Peer* peer : peers) {
    idle.emplace_back(peer->p2p_port());
    idle.emplace_back(peer->p2p_port());
    idle.back().send(with_length(40, 7));  // a frame that never ends
  }
  idle.emplace_back(run.port());
  const std::uint64_t begin = now_ns();
  peers[0]->say("update");
  peers[1]->say("update");
  expect_all(answers(peers), "pcclSuccess");
  const double took = static_cast<double>(now_ns() - begin) * 1e-9;
  std::printf("join with an idle connection at every port: %.3f s\n", took);
  EXPECT_LT(took, 1.0 * slack);
  for (const Line& line : ask_all(peers, "reduce tag=1 count=9000 type=10 op=0 seed=1"))
    EXPECT_TRUE(line.ok() && line.number("right") == 1) << line.whole;
}

}  // namespace
}  // namespace e2e
