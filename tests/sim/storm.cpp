#include "sim/storm.hpp"

#include <algorithm>
#include <array>
#include <functional>

#include "sim/application.hpp"
#include "sim/world.hpp"

namespace pccl::sim {

using namespace std::chrono_literals;

namespace {

constexpr std::size_t least_ops = 50, least_faults = 10;
constexpr std::uint64_t reduces_in_calm = 6;
constexpr Duration calm_limit = 60s;

class Storm {
 public:
  explicit Storm(const StormOptions& options)
      : options_(options), rng_(options.seed ^ 0x5707a3), world_(world_options()) {}

  StormResult run() {
    StormResult result;
    try {
      rage();
      calm();
    } catch (const Violation& violation) {
      result.invariant = violation.invariant;
      result.text = violation.what();
    } catch (const std::exception& error) {  // PCCL_INVARIANT in the build with mutants
      result.invariant = "Internal";
      result.text = error.what();
    }
    if (!result.ok()) world_.trace.print("VIOLATION {}", result.text);
    result.hash = world_.trace.hash();
    result.peers = world_.peers().size();
    result.ops = world_.ledger.ops_launched();
    result.committed = world_.ledger.ops_committed();
    result.syncs = world_.ledger.syncs();
    result.faults = faults_;
    result.epochs = world_.ledger.epochs();
    result.events = world_.timeline.steps();
    result.virtual_seconds = seconds(world_.timeline.now() - start_);
    return result;
  }

 private:
  WorldOptions world_options() {
    WorldOptions world{.seed = options_.seed, .trace = options_.trace};
    world.lanes = 1 + static_cast<unsigned>(rng_.below(3));
    world.syncs_state = rng_.chance(0.4);
    // Drawn apart, and so that the seeds that were red once keep their story.
    world.optimizes = Rng(options_.seed ^ 0x70b1a9).chance(0.2);
    world.master_has_state_file = rng_.chance(0.3);
    world.asks_before_updating = rng_.chance(0.7);
    world.ops_per_step = 1 + static_cast<std::uint32_t>(rng_.below(6));
    world.largest_op_bytes = rng_.chance(0.06) ? 1 << 20 : (32 << 10) << rng_.below(3);
    world.compute = between(10ms, 200ms);
    world.trip = between(100us, 3ms);
    groups_ = rng_.chance(0.6) ? 1 : 2;
    population_ = 5 + rng_.below(2);
    return world;
  }

  Duration between(Duration least, Duration most) {
    return least + Duration{rng_.below(static_cast<std::uint64_t>((most - least).count()) + 1)};
  }

  SimPeer& spawn(PeerOptions peer = {}) {
    peer.group = Group{static_cast<std::uint32_t>(rng_.below(groups_))};
    return world_.spawn(std::move(peer));
  }

  std::vector<SimPeer*> healthy() const {
    std::vector<SimPeer*> healthy;
    for (SimPeer* const peer : world_.living())
      if (!peer->frozen()) healthy.push_back(peer);
    return healthy;
  }

  // ---- the storm

  void rage() {
    for (std::size_t n = 0; n < population_; ++n) {
      spawn();
      if (rng_.chance(0.5)) world_.run_for(between(0us, 20ms));
    }
    world_.run_for(between(10ms, 200ms));
    const std::size_t faults = least_faults + rng_.below(6);
    while (faults_ < faults) {
      const auto peers = world_.living();
      if (!peers.empty()) strike(*peers[rng_.below(peers.size())]);
      const std::uint64_t rhythm = rng_.below(10);
      world_.run_for(rhythm < 4   ? between(0us, 20ms)
                     : rhythm < 8 ? between(20ms, 300ms)
                                  : between(300ms, 4s));
      repopulate();
    }
  }

  void repopulate() {
    while (world_.living().size() < population_) {
      spawn();
      if (rng_.chance(0.5)) world_.run_for(between(0us, 20ms));
    }
  }

  void strike(SimPeer& peer) {
    struct Fault {
      const char* name;
      unsigned weight;
      void (Storm::*strike)(SimPeer&);
    };
    static constexpr std::array faults = {
        Fault{"kill", 20, &Storm::kill},
        Fault{"freeze", 12, &Storm::freeze},
        Fault{"leave", 6, &Storm::leave},
        Fault{"master_cut", 6, &Storm::cut_off_from_master},
        Fault{"master_reset", 4, &Storm::reset_master_connection},
        Fault{"path_cut", 8, &Storm::cut_path},
        Fault{"link_reset", 10, &Storm::break_link},
        Fault{"dial_trouble", 6, &Storm::trouble_dials},
        Fault{"master_freeze", 4, &Storm::freeze_master},
        Fault{"master_kill", 8, &Storm::kill_master},
        Fault{"newcomers", 12, &Storm::bring_newcomers},
        Fault{"doomed_newcomer", 8, &Storm::bring_doomed_newcomer},
        Fault{"silent_newcomer", 4, &Storm::bring_silent_newcomer},
        Fault{"mute_newcomer", 2, &Storm::bring_mute_newcomer},
        Fault{"misdescribe", 6, &Storm::misdescribe},
        Fault{"wrong_call", 4, &Storm::call_wrongly},
        Fault{"pause", 4, &Storm::pause},
        Fault{"corrupt_state", 4, &Storm::corrupt_state},
    };
    unsigned total = 0;
    for (const Fault& fault : faults) total += allowed(fault.name) ? fault.weight : 0;
    if (total == 0) return;
    std::uint64_t drawn = rng_.below(total);
    for (const Fault& fault : faults) {
      if (!allowed(fault.name)) continue;
      if (drawn < fault.weight) {
        ++faults_;
        world_.trace.mix(fault.name, peer.slot());
        world_.trace.print("fault   {} for {}", fault.name, peer.name());
        return (this->*fault.strike)(peer);
      }
      drawn -= fault.weight;
    }
  }
  bool allowed(const char* fault) const {
    return options_.only.empty() || options_.only.contains(fault);
  }

  void kill(SimPeer& peer) { peer.kill(); }

  void freeze(SimPeer& peer) {
    world_.freeze(peer);
    if (rng_.chance(0.2)) return;  // for good
    world_.timeline.after(between(10ms, 6s), [this, &peer] {
      if (peer.alive() && peer.frozen()) world_.thaw(peer);
    });
  }

  void leave(SimPeer& peer) { peer.leave(); }

  void cut_off_from_master(SimPeer& peer) {
    const std::uint64_t ways = 1 + rng_.below(3);
    world_.cut_off_from_master(peer, (ways & 1) != 0, (ways & 2) != 0);
    world_.timeline.after(between(10ms, 6s), [&peer] {
      if (peer.control() != nullptr) peer.control()->heal();
    });
  }

  void reset_master_connection(SimPeer& peer) {
    peer.blame("its connection to the master was reset");
    Control* const control = peer.control();
    if (control == nullptr) return;
    peer.later(between(0us, 5ms), [control, &peer] {
      control->close_at_peer(true);
      peer.lose_master("connection reset");
    });
  }

  SimPeer* somebody_else(const SimPeer& peer) {
    auto peers = world_.living();
    std::erase_if(peers, [&](const SimPeer* other) {
      return other == &peer || other->options().group != peer.options().group;
    });
    return peers.empty() ? nullptr : peers[rng_.below(peers.size())];
  }

  void cut_path(SimPeer& peer) {
    SimPeer* const to = somebody_else(peer);
    if (to == nullptr) return;
    const bool both_ways = rng_.chance(0.5);
    world_.cut_path(peer, *to);
    if (both_ways) world_.cut_path(*to, peer);
    if (rng_.chance(0.2)) return;  // until the calm
    world_.timeline.after(between(10ms, 6s), [this, &peer, to] {
      world_.heal_path(peer, *to);
      world_.heal_path(*to, peer);
    });
  }

  void break_link(SimPeer& peer) { world_.break_link(peer); }

  void trouble_dials(SimPeer& peer) {
    SimPeer* const to = somebody_else(peer);
    if (to == nullptr) return;
    peer.blame("dialling from it was troubled");
    to->blame("dialling it was troubled");
    if (rng_.chance(0.5))
      world_.paths.refuse_dials(peer.slot(), to->slot());
    else
      world_.paths.slow_down_dials(peer.slot(), to->slot(), between(10ms, 3s));
    world_.timeline.after(between(100ms, 5s), [this, &peer, to] {
      world_.paths.end_dial_trouble(peer.slot(), to->slot());
    });
  }

  void freeze_master(SimPeer&) {
    if (world_.master.frozen()) return;
    world_.master.freeze();
    world_.timeline.after(between(10ms, 8s), [this] {
      if (world_.master.frozen()) world_.master.thaw();
    });
  }

  // Away for less than the master timeout, and at times killed again while its peers come back.
  void kill_master(SimPeer&) {
    if (!world_.master.alive()) return;
    world_.master.kill();
    Duration away = rng_.chance(0.5) ? between(0us, 300ms) : between(300ms, 8s);
    while (true) {
      world_.timeline.after(away, [this] {
        if (!world_.master.alive()) world_.master.start();
      });
      if (!rng_.chance(0.3)) return;
      away += between(0us, 400ms);
      world_.timeline.after(away, [this] {
        if (world_.master.alive()) world_.master.kill();
      });
      away += between(0us, 300ms);
    }
  }

  void bring_newcomers(SimPeer&) {
    for (std::uint64_t n = 1 + rng_.below(3); n > 0 && world_.living().size() < population_ + 3;
         --n)
      spawn();
  }

  void bring_doomed_newcomer(SimPeer&) {
    SimPeer& doomed = spawn();
    world_.timeline.after(between(0us, 30ms), [&doomed] { doomed.kill(); });
  }

  void bring_silent_newcomer(SimPeer&) {
    spawn({.script = connect_only, .p2p_silent = true}).blame("nobody reaches it");
  }

  void bring_mute_newcomer(SimPeer&) {
    spawn({.script = connect_only, .mute = true}).blame("it does not open its links");
  }

  void misdescribe(SimPeer& peer) { peer.misdescribe_next_op = true; }
  void call_wrongly(SimPeer& peer) { peer.call_wrongly_next = true; }
  void corrupt_state(SimPeer& peer) { peer.corrupt_next = true; }
  void pause(SimPeer& peer) { peer.pause_next = between(50ms, 4s); }

  // ---- the calm

  void calm() {
    world_.heal_all(rng_.chance(0.5));
    for (const auto& peer : world_.peers())
      if (peer->options().mute || peer->options().p2p_silent) peer->kill();
    std::vector<std::pair<SimPeer*, std::uint64_t>> goals;
    const Instant end = world_.timeline.now() + calm_limit;
    for (;;) {
      for (std::uint32_t group = 0; group < groups_; ++group)
        while (healthy_in(group) < 2) world_.spawn({.group = Group{group}});
      for (SimPeer* const peer : healthy())
        if (std::none_of(goals.begin(), goals.end(),
                         [&](const auto& goal) { return goal.first == peer; }))
          goals.emplace_back(peer, peer->reduces_done + reduces_in_calm);
      if (done(goals)) return;
      PCCL_REQUIRE(world_.timeline.now() < end, "Everything completes after the storm", "{}",
                   who_is_stuck(goals));
      world_.run_for(200ms);
    }
  }

  std::size_t healthy_in(std::uint32_t group) const {
    const auto peers = healthy();
    return static_cast<std::size_t>(
        std::count_if(peers.begin(), peers.end(),
                      [&](const SimPeer* peer) { return peer->options().group.value == group; }));
  }

  bool done(const std::vector<std::pair<SimPeer*, std::uint64_t>>& goals) const {
    return world_.ledger.ops_launched() >= least_ops &&
           std::all_of(goals.begin(), goals.end(), [](const auto& goal) {
             return !goal.first->alive() || goal.first->reduces_done >= goal.second;
           });
  }

  std::string who_is_stuck(const std::vector<std::pair<SimPeer*, std::uint64_t>>& goals) const {
    std::string text;
    for (const auto& [peer, goal] : goals)
      if (peer->alive())
        text += fmt::format(
            "{}{} ({} of {}, epoch {} of {}, {}{}{})", text.empty() ? "" : ", ", peer->name(),
            peer->reduces_done, goal, peer->machine().epoch().value, peer->world_size(),
            peer->doing, peer->last_failure.empty() ? "" : ", last failure: ", peer->last_failure);
    return text;
  }

  StormOptions options_;
  Rng rng_;
  std::uint64_t groups_ = 1;
  std::size_t population_ = 5, faults_ = 0;
  World world_;
  Instant start_ = world_.timeline.now();
};

}  // namespace

StormResult run_storm(const StormOptions& options) {
  return Storm(options).run();
}

std::string replay_command(std::uint64_t seed) {
  return fmt::format("build/dev/tests/sim/storm --seed {} --trace", seed);
}

}  // namespace pccl::sim
