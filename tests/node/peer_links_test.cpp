// The links of two peers that hear of a new epoch at moments of the test's choice. Both live on one
// loop, which the test runs by itself.
#include "node/peer_links.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <optional>
#include <vector>

#include "net/loop.hpp"

namespace pccl::node {
namespace {

constexpr auto patience = std::chrono::seconds(20);

// Nothing to send, and nothing is expected.
class IdleClient : public net::LaneClient {
 public:
  std::optional<wire::BulkHeader> next_frame() override { return std::nullopt; }
  std::span<const std::byte> payload(const wire::BulkHeader&, std::size_t) override { return {}; }
  void frame_sent(const wire::BulkHeader&) override {}
  bool frame_begins(const wire::BulkHeader&, std::string& why) override {
    why = "nothing is expected";
    return false;
  }
  std::span<std::byte> destination(const wire::BulkHeader&, std::size_t) override { return {}; }
  void frame_arrived(const wire::BulkHeader&) override {}
};

struct Side {
  Side(net::Loop& loop, std::uint64_t number, bool shared_memory)
      : id{number, number},
        links(loop, client, client,
              {.lanes = 3, .peer_timeout = patience, .shared_memory = shared_memory},
              {.on_stand = [this](const auto& stand) { stands_in = stand.epoch; },
               .on_broken = [this](const auto& broken) { breaks.push_back(broken.why); },
               .on_progress = [] {},
               .on_previous_replaced =
                   [this] {
                     ++arrivals;
                     if (const auto run = std::exchange(at_arrival, nullptr)) run();
                   },
               .on_path_hello = [](auto&, auto, const auto&) {}}) {
    EXPECT_TRUE(links.listen(false).ok());
  }

  wire::Member member() const {
    Endpoint door{.port = links.port()};
    door.address.octets = {127, 0, 0, 1};
    return {id, door};
  }
  void relink_with(const Side& other, Epoch epoch) {
    wire::Token token{};
    token[0] = static_cast<std::uint8_t>(epoch.value);
    links.relink({epoch, token, id, other.member(), other.id});
  }

  PeerId id;
  IdleClient client;
  Epoch stands_in;
  std::vector<std::string> breaks;
  int arrivals = 0;
  std::function<void()> at_arrival;  // of a link from the previous rank
  PeerLinks links;
};

class TwoEnds : public ::testing::TestWithParam<bool> {
 protected:
  void relink(Epoch epoch) {
    one.relink_with(other, epoch);
    other.relink_with(one, epoch);
  }
  bool both_stand_in(Epoch epoch) const {
    return one.stands_in == epoch && other.stands_in == epoch;
  }
  testing::AssertionResult run_until(const std::function<bool()>& done) {
    const Instant deadline = net::Loop::now() + patience;
    net::Loop::Timer timer(loop);
    timer.set(deadline, [] {});
    loop.run_until([&] { return done() || net::Loop::now() > deadline; },
                   [] { return net::Takeover{}; });
    if (done()) return testing::AssertionSuccess();
    return testing::AssertionFailure() << "not within " << seconds(patience) << " s";
  }

  net::Loop loop;
  Side one{loop, 1, GetParam()}, other{loop, 2, GetParam()};
};

TEST_P(TwoEnds, StandAndStayThroughAnEpoch) {
  relink(Epoch{4});
  ASSERT_TRUE(run_until([&] { return both_stand_in(Epoch{4}); }));
  relink(Epoch{5});
  EXPECT_TRUE(both_stand_in(Epoch{5})) << "nothing was missing";
  EXPECT_EQ(one.arrivals + other.arrivals, 2);
}

// The one who dials gives an attempt up when it hears of the next epoch, though the other side had
// opened its door already and counts on the link, in the next epoch, too.
TEST_P(TwoEnds, AnAttemptGivenUpWhileItIsWelcomedIsNoFault) {
  one.at_arrival = [&] {
    other.relink_with(one, Epoch{5});
    one.relink_with(other, Epoch{5});
  };
  relink(Epoch{4});
  ASSERT_TRUE(run_until([&] { return both_stand_in(Epoch{5}) && one.arrivals == 2; }));
  relink(Epoch{6});
  EXPECT_TRUE(both_stand_in(Epoch{6}));
  EXPECT_EQ(one.breaks, std::vector<std::string>{});
  EXPECT_EQ(other.breaks, std::vector<std::string>{});
}

TEST_P(TwoEnds, ALinkThatWasUsedAndBreaksIsAFault) {
  relink(Epoch{4});
  ASSERT_TRUE(run_until([&] { return both_stand_in(Epoch{4}); }));
  other.links.check_pings(net::Loop::now(), false);  // heard by the other side
  ASSERT_TRUE(run_until([&] { return true; }));
  other.links.keep({});
  ASSERT_TRUE(run_until([&] { return one.breaks.size() == 2; })) << "each end of each link";
}

INSTANTIATE_TEST_SUITE_P(, TwoEnds, ::testing::Bool(), [](const auto& shared_memory) {
  return shared_memory.param ? "Memory" : "Tcp";
});

}  // namespace
}  // namespace pccl::node
