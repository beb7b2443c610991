// What scripted scenarios share: a calm world with peers that do as they are told.
#pragma once

#include <gtest/gtest.h>

#include "sim/application.hpp"
#include "sim/world.hpp"

namespace pccl::sim {

using namespace std::chrono_literals;

inline WorldOptions calm_options(std::uint64_t seed = 1) {
  return {.seed = seed, .compute = 2ms, .trip = 500us, .trace = getenv("SIM_TRACE") != nullptr};
}

// Peers that train, all accepted and some steps into the run.
struct Group3 {
  explicit Group3(std::size_t size = 3, WorldOptions options = calm_options()) : world(options) {
    for (std::size_t n = 0; n < size; ++n) peers.push_back(&world.spawn());
    EXPECT_TRUE(world.run_until(
        [&] {
          return std::all_of(peers.begin(), peers.end(), [&](const SimPeer* peer) {
            return peer->world_size() == size && peer->reduces_done > 5;
          });
        },
        20s));
  }
  // Everybody in the list gets on with its work, in a ring of that many.
  testing::AssertionResult goes_on(const std::vector<SimPeer*>& who, Duration limit = 5s,
                                   std::uint64_t reduces = 10) {
    std::vector<std::uint64_t> before;
    for (const SimPeer* peer : who) before.push_back(peer->reduces_done);
    const bool done = world.run_until(
        [&] {
          for (std::size_t n = 0; n < who.size(); ++n)
            if (who[n]->reduces_done < before[n] + reduces || who[n]->world_size() != who.size())
              return false;
          return true;
        },
        limit);
    if (done) return testing::AssertionSuccess();
    auto failure = testing::AssertionFailure();
    for (const SimPeer* peer : who)
      failure << peer->name() << " is " << peer->doing << " in a world of " << peer->world_size()
              << "; ";
    return failure;
  }

  World world;
  std::vector<SimPeer*> peers;
};

}  // namespace pccl::sim
