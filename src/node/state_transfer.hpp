// One sync's movement of bytes: the engines that serve and fetch (shared_state), joined to lanes.
// Owns no socket; real or simulated lanes pull from it and push into it. One thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "membership/peer_events.hpp"
#include "net/lane_client.hpp"
#include "node/prepared_state.hpp"
#include "shared_state/fetch.hpp"
#include "shared_state/holder.hpp"

namespace pccl::node {

using ReceiverId = std::uint64_t;  // a connection of somebody who fetches from here

class StateTransfer {
 public:
  // `wake` is called by any thread when GPUs have moved bytes: lanes may have something to do, and
  // the fetch may have ended.
  explicit StateTransfer(std::shared_ptr<const PreparedState> state,
                         std::function<void()> wake = nullptr);
  ~StateTransfer();
  StateTransfer(const StateTransfer&) = delete;
  StateTransfer& operator=(const StateTransfer&) = delete;

  void time_is(Instant now) { now_ = now; }

  // The election, or other holders of what was elected.
  void move(const membership::MoveState& move);

  // Nothing that has come is of use: another content counts. The lanes are gone.
  void start_over();
  const std::optional<Digest>& elected() const { return elected_; }

  // Clients of lanes; they live until the lane is lost or the transfer ends.
  net::LaneClient& source(const PeerId& holder);
  net::LaneClient& receiver(ReceiverId id);
  void source_lost(const PeerId& holder, const std::string& why, bool for_good);
  void receiver_lost(ReceiverId id);

  // After frames have moved, and a few times a second.
  std::vector<shared_state::LostSource> sources_to_drop(Duration patience);
  void grant_fresh_deadlines(Instant now);  // this process has stood still
  // After news of GPUs, and a few times a second: of an error nobody is woken.
  void check_gpus();
  // Once: the fetch has ended; or, of a holder as well, a GPU does not go on.
  std::optional<Outcome> take_outcome();
  // No bytes are on their way to GPUs any more. Blocks for as long as a few blocks need.
  void wait_for_gpus();
  const std::string& gpu_error() const;  // empty: nothing is wrong

  std::uint64_t tx_bytes() const { return holder_ ? holder_->bytes_sent() : 0; }
  std::uint64_t rx_bytes() const { return progress().bytes_received; }
  shared_state::FetchProgress progress() const {
    return fetch_ ? fetch_->progress() : shared_state::FetchProgress{};
  }
  // Blocks of two contents may stand beside each other.
  bool half_way() const;
  std::vector<std::string> incomplete_entries() const;
  const PreparedState& state() const { return *state_; }

 private:
  class Source;
  class Receiver;

  void serve(std::span<const Digest> digests);
  bool all_given_up() const;

  std::shared_ptr<const PreparedState> state_;
  std::function<void()> wake_;
  Instant now_{};
  std::optional<shared_state::Fetch> fetch_;
  std::optional<shared_state::Holder> holder_;  // once this peer has the elected content
  std::map<PeerId, std::unique_ptr<Source>> sources_;
  std::map<ReceiverId, std::unique_ptr<Receiver>> receivers_;
  std::map<PeerId, bool> given_up_;  // every holder that was named: whether for good
  std::string last_loss_;
  bool told_ = false;
  bool gpu_error_told_ = false;
  bool distrusts_ = false;  // a holder has sent other bytes than were elected
  std::optional<Digest> elected_;
  wire::Token election_{};
  std::vector<Digest> unknown_;  // of blocks that have been written to since they were read
};

}  // namespace pccl::node
