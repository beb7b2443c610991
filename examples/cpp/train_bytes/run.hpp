// The membership loop: how a peer trains with whoever is there, while peers come, go and come back.
//
//   admit       collective   let in whoever waits; a newcomer skips this once
//   sync        collective   one state for all: who is new or behind takes over the others'
//   company     sum          only before the very first step: does anybody wait for more peers?
//   walk        local        H inner steps, the expensive part, done once per outer step
//   average     average      of the walks; then every peer takes the same outer step
//
// Every outer step is this sequence, and the outer step's number is the revision of the state. When
// an all-reduce fails because a peer was lost, start over at the sync; a walk that is done is kept.
// A peer alone goes on alone, until somebody waits.
//
// Why nobody ends up in another place than the others:
//  - Each decision (wait? go on?) depends only on the result of a collective, and that is the same
//    on all peers.
//  - From the sync to the average nothing refreshes the membership, so the average belongs to the
//    epoch of the last admission, and in one epoch an all-reduce succeeds on all members or fails
//    on all. So whoever fails, fails with all survivors, and all of them start over at the sync.
//  - A death during `admit` or the sync fails nothing there; it shows in the average.
//  - Newcomers enter in `admit` only, so the next thing anybody does with them is a sync: no
//    average is taken before all have the same state, and the walk of a state that a sync has
//    replaced is thrown away.
#pragma once

#include <pccl.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "diloco.hpp"
#include "group.hpp"

namespace train_bytes {

struct RunOptions {
  std::vector<ccoip_socket_address_t> master_addresses;
  std::uint32_t peer_group = 0;
  std::uint32_t steps = 100;       // the outer step at which everybody stops
  int start_peers = 1;             // take the very first step only in this much company
  std::uint32_t report_every = 1;  // outer steps between two lines of progress
  std::string name;
};

struct RunReport {
  double first_loss = 0.0;  // before this peer's first step
  double last_loss = 0.0;
  std::uint32_t steps_taken = 0;
  std::uint64_t peers_seen = 1;  // this one included; a peer that comes back counts again
};

class Run {
 public:
  Run(DiLoCo& training, RunOptions options);

  // Returns when the training has reached options.steps. Throws std::runtime_error when there is no
  // master.
  RunReport train();

 private:
  enum class Gathering { together, waiting, peer_lost };

  void train_in(Group& group);
  void one_outer_step(Group& group);
  Gathering gather(Group& group);
  void synchronize(Group& group);
  void say(const std::string& text) const;
  void say_where_we_are(const Group& group, const char* event) const;
  void say_peer_lost(const Group& group) const;

  DiLoCo& training_;
  RunOptions options_;
  RunReport report_;
  bool new_here_ = true;                    // until the first sync in the current seat
  int world_size_ = 1;                      // at the last sync
  std::optional<std::vector<float>> walk_;  // this step's pseudo-gradient, once computed
};

}  // namespace train_bytes
