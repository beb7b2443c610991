// A peer without its sockets and threads: the machine that decides and the exchange that moves
// data, joined. PeerNode drives it from real connections, the simulator from simulated ones. One
// thread at a time.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/algorithm.hpp"
#include "collective/exchange.hpp"
#include "device/news.hpp"
#include "membership/peer_machine.hpp"
#include "net/lane_client.hpp"
#include "node/device_stars.hpp"
#include "node/ended.hpp"
#include "node/state_transfer.hpp"
#include "plan/algorithm_choice.hpp"

namespace pccl::node {

// What a core wants of the world around it. Calls arrive in the order in which they must happen;
// none of them may call back into the core before it returns.
class PeerIo {
 public:
  virtual ~PeerIo() = default;
  virtual void send_to_master(Term term, const wire::Message& message) = 0;
  virtual void close_master() = 0;  // after what has been sent
  virtual void redial_master(Duration pause) = 0;
  virtual void relink(const membership::Relink& relink) = 0;
  virtual void keep_links(const membership::KeepLinks& keep) = 0;
  virtual void wake_at(Instant at) = 0;
  virtual void op_ended(OpHandle handle, EndedOp ended) = 0;
  virtual void connect_ended(const Outcome& outcome) = 0;
  virtual void call_ended(const Outcome& outcome, bool peers_pending) = 0;
  // The connections of a sync: those that the election asks for, none to this holder any more, and
  // none at all, which has happened when it returns.
  virtual void move_state(const membership::MoveState& move) = 0;
  virtual void drop_source(const PeerId& holder, const std::string& why) = 0;
  virtual void close_state() = 0;
  virtual void sync_ended(EndedSync ended) = 0;
  virtual void measure_path(const membership::MeasurePath& measure) = 0;
  virtual void stop_measuring() = 0;
  virtual void note(const std::string& text) = 0;
  // Any thread: PeerCore::take_gpu_news() has something to do.
  virtual void gpu_has_news() {}
  // A GPU that this peer needs can do nothing any more: the peer should leave.
  virtual void gpu_has_failed(const std::string& /*why*/) {}
};

struct OpRequest {
  Tag tag;
  std::uint64_t count = 0;
  collective::Operand operand;
};

class PeerCore {
 public:
  PeerCore(const membership::PeerSettings& settings, PeerIo& io, const AlgorithmWish& wish = {},
           const collective::EagerBudget& eager = {});

  ~PeerCore();
  PeerCore(const PeerCore&) = delete;
  PeerCore& operator=(const PeerCore&) = delete;

  // Feeds one event and carries out what follows from it. Afterwards lanes may have something to
  // send: ask outgoing_has_frames() and incoming_has_frames().
  void handle(const membership::PeerEvent& event, Instant now);

  Outcome may_launch() const { return machine_.may_launch(stars_.held_back()); }
  // Launches an op under a new handle; it ends in PeerIo::op_ended, at once when it is refused or
  // stale.
  OpHandle launch(const OpRequest& request, Instant now);
  std::uint32_t star_bytes() const;     // of the largest op that takes the star in this epoch
  std::size_t pairwise_bytes() const;   // of the largest that two peers exchange
  void roll_back_done(EndedOp& ended);  // gives the copies back

  // Goes on with what GPUs have done for ops and syncs here. Now and then somebody has to ask
  // whether they still work: one that has failed tells nobody.
  void take_gpu_news(Instant now);
  void revoke_gpu_news() const { news_.revoke(); }  // none is told from now on
  void check_gpus();

  // Offers the state; it ends in PeerIo::sync_ended, at once when it is refused.
  void synchronize(const wire::SyncOffer& offer, std::shared_ptr<const PreparedState> state,
                   Instant now);
  // While a sync moves bytes: its lanes are served by this. Else null.
  StateTransfer* transfer() { return transfer_ ? &*transfer_ : nullptr; }
  // A few times a second. `patience`: with a holder that owes something and sends nothing.
  void check_transfer(Instant now, Duration patience);

  const membership::PeerMachine& machine() const { return machine_; }

  // The two directions of the ring. A lane to the next rank serves `outgoing()`, one from the
  // previous rank `incoming()`. After frame_arrived() call settle() before anything else.
  net::LaneClient& outgoing() { return outgoing_; }
  net::LaneClient& incoming() { return incoming_; }
  void settle(Instant now);
  bool outgoing_has_frames() const { return exchange_.has_segment_to_send(); }
  bool incoming_has_frames() const { return exchange_.has_credit_to_send(); }
  void previous_link_replaced() { exchange_.previous_link_replaced(); }

 private:
  class Outgoing final : public net::LaneClient {  // sends segments, receives credit
   public:
    explicit Outgoing(collective::Exchange& exchange) : exchange_(exchange) {}
    std::optional<wire::BulkHeader> next_frame() override;
    std::span<const std::byte> payload(const wire::BulkHeader& frame, std::size_t offset) override;
    void frame_sent(const wire::BulkHeader& frame) override;
    bool frame_begins(const wire::BulkHeader& frame, std::string& why) override;
    std::span<std::byte> destination(const wire::BulkHeader&, std::size_t) override { return {}; }
    void frame_arrived(const wire::BulkHeader& frame) override;

   private:
    collective::Exchange& exchange_;
  };
  class Incoming final : public net::LaneClient {  // receives segments, sends credit
   public:
    explicit Incoming(collective::Exchange& exchange) : exchange_(exchange) {}
    std::optional<wire::BulkHeader> next_frame() override;
    std::span<const std::byte> payload(const wire::BulkHeader&, std::size_t) override { return {}; }
    void frame_sent(const wire::BulkHeader&) override {}
    bool frame_begins(const wire::BulkHeader& frame, std::string& why) override;
    std::span<std::byte> destination(const wire::BulkHeader& frame, std::size_t offset) override;
    void frame_arrived(const wire::BulkHeader& frame) override;
    std::size_t absorb(const wire::BulkHeader& frame, std::size_t offset,
                       std::span<const std::byte> here) override;

   private:
    collective::Exchange& exchange_;
  };
  struct Op {
    OpRequest request;
    Algorithm algorithm = Algorithm::ring;
    OpKey key;  // once it has a ring
    std::shared_ptr<collective::RingOp> ring;
  };

  plan::Group group() const;
  void run(const membership::PeerEffects& effects);
  void tell(std::vector<DeviceStars::Ended> ended);
  void start_ring(const membership::StartRing& start);
  void end_op(const membership::CompleteOp& complete);
  void describe_state(const membership::DescribeState& wanted);
  void end_sync(const membership::CompleteSync& complete);
  void send(const membership::SendToMaster& send);

  PeerIo& io_;
  device::News news_{[this] { io_.gpu_has_news(); }};
  AlgorithmWish wish_;
  membership::PeerMachine machine_;
  std::deque<OpKey> finished_;  // by the exchange, not yet told to the machine
  collective::Exchange exchange_;
  Outgoing outgoing_{exchange_};
  Incoming incoming_{exchange_};
  std::map<OpHandle, Op> ops_;  // but for those on GPUs that take the star
  DeviceStars stars_;
  std::optional<StateTransfer> transfer_;
  CallId transfer_call_;
  OpHandle next_handle_{1};
};

}  // namespace pccl::node
