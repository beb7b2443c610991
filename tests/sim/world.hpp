// A whole run in one thread on virtual time: a master, peers that come and go, the connections
// between them, and what goes wrong with all of these.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/rng.hpp"
#include "plan/best_ring.hpp"
#include "sim/ledger.hpp"
#include "sim/link.hpp"
#include "sim/master.hpp"
#include "sim/paths.hpp"
#include "sim/peer.hpp"
#include "sim/timeline.hpp"
#include "sim/trace.hpp"

namespace pccl::sim {

// By the numbers of the processes; unless somebody says otherwise, anything.
inline plan::PathQuality any_quality(int from, int to) {
  Rng rng(static_cast<std::uint64_t>(from) * 1009 + static_cast<std::uint64_t>(to));
  return {1e6 * static_cast<double>(1 + rng.below(1000)),
          1e-3 * static_cast<double>(1 + rng.below(100))};
}

struct WorldOptions {
  std::uint64_t seed = 1;
  unsigned lanes = 2;                // of a link
  bool asks_before_updating = true;  // applications: pcclArePeersPending first
  std::uint32_t ops_per_step = 3;    // at most
  bool syncs_state = false;          // applications: a shared state, and its revision is the step
  bool optimizes = false;            // applications: pcclOptimizeTopology in each iteration
  std::function<plan::PathQuality(int from, int to)> quality = any_quality;
  bool master_has_state_file = false;
  std::uint64_t largest_op_bytes = 64 << 10;
  Duration compute{5'000'000};  // of a training step, at most
  Duration trip{1'000'000};     // of a packet, at most, nearly always
  bool trace = false;
};

class World {
 public:
  explicit World(const WorldOptions& options);
  ~World();

  // ---- peers
  SimPeer& spawn(PeerOptions options = {});
  std::vector<std::unique_ptr<SimPeer>>& peers() { return peers_; }
  std::vector<SimPeer*> living() const;  // neither dead nor out of the run
  SimPeer* peer_at(const Endpoint& p2p) const;

  // ---- faults
  void freeze(SimPeer& peer);
  void thaw(SimPeer& peer);
  void cut_path(SimPeer& from, SimPeer& to);  // one direction; both ends hear nothing of it
  void heal_path(SimPeer& from, SimPeer& to);
  void break_link(SimPeer& from);  // its link to the next rank is reset
  void cut_off_from_master(SimPeer& peer, bool up, bool down);
  void close_controls_of_master();      // as the kernel does for a process that has died
  void heal_all(bool thaw_all = true);  // else frozen peers stay so, for good

  // ---- time. Invariants are checked as things happen; a violation is thrown.
  void run_for(Duration duration);
  bool run_until(const std::function<bool()>& condition, Duration limit);

  // ---- for the parts
  Link& new_link(Link::Side dialler, Link::Side acceptor, unsigned lanes);
  Control& new_control(SimPeer& peer);
  Duration between(Duration least, Duration most);
  Duration link_delay();
  Duration control_delay();

  const WorldOptions options;
  Rng rng;
  Timeline timeline;
  Trace trace;
  Paths paths;
  Ledger ledger;
  MasterHost master;

 private:
  Duration delay();
  std::uint64_t silence(const Link& link, End end) const;
  void watch_pings(Link& link, End end);

  std::vector<std::unique_ptr<Control>> controls_;
  std::vector<std::unique_ptr<Link>> links_;
  std::vector<std::unique_ptr<SimPeer>> peers_;
};

}  // namespace pccl::sim
