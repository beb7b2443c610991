// One simulated process with one communicator: the real PeerCore, simulated connections around it,
// and a scripted application that blocks where a real one blocks.
#pragma once

#include <coroutine>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "node/peer_core.hpp"
#include "sim/control.hpp"
#include "sim/door.hpp"
#include "sim/measuring.hpp"
#include "sim/process.hpp"
#include "sim/state.hpp"
#include "sim/state_door.hpp"
#include "sim/task.hpp"
#include "sim/values.hpp"

namespace pccl::sim {

using membership::OpHandle;
using Script = std::function<Task<void>(SimPeer&)>;

struct PeerOptions {
  Group group;
  Script script;            // empty: the training loop of application.hpp
  bool p2p_silent = false;  // nobody reaches its p2p port, and nothing answers
  bool mute = false;        // breaks the protocol: opens no links and does not say why
};

// What the application waits for. Opened by the library, some time before the application runs on.
struct Gate {
  bool open = false;
  std::coroutine_handle<> waiter;
  bool await_ready() const { return open; }
  void await_suspend(std::coroutine_handle<> handle) { waiter = handle; }
  void await_resume() const {}
};

class SimPeer final : public Process, public node::PeerIo {
 public:
  SimPeer(World& world, int slot, PeerOptions options);
  ~SimPeer() override;

  int slot() const { return slot_; }
  const std::string& name() const { return name_; }
  PeerId id() const { return core_->machine().self(); }
  const PeerOptions& options() const { return options_; }
  Endpoint p2p() const;
  node::PeerCore& core() { return *core_; }
  const membership::PeerMachine& machine() const { return core_->machine(); }
  Door& door() { return door_; }
  Control* control() const { return control_; }
  StateDoor& state_door() { return state_door_; }
  Measuring& measuring() { return measuring_; }
  std::vector<std::pair<Link*, End>> open_links() const;

  void start();
  void kill();        // SIGKILL: its sockets close
  void leave();       // pcclDestroyCommunicator and exit
  void after_work();  // lanes may have something to send; everything is as it must be
  void post(membership::PeerEvent event);
  void blame(const std::string& why) { blame_ = why; }  // being removed is no surprise any more
  const std::string& blamed() const { return blame_; }
  // No byte of an op's buffers is touched once the op has ended.
  void check_touch(const std::byte* at, std::size_t bytes, const char* how) const;

  // ---- for control.cpp
  void master_reached();
  void hear_master(const wire::Frame& frame);
  void lose_master(const std::string& why);

  // ---- for scripts: the calls of the public header
  Task<Outcome> connect();
  struct CallEnded {
    Outcome outcome;
    bool peers_pending = false;
  };
  Task<CallEnded> call(wire::CallKind what);
  // The revision of success is in `revision` then.
  Task<Outcome> sync(SyncStrategy strategy = SyncStrategy::enforce_popular);
  struct Launched {
    OpHandle handle;
    bool in_place;
  };
  OpHandle launch(const OpSpec& spec, std::uint32_t amount, bool in_place);
  Task<Outcome> await(OpHandle handle);
  std::uint32_t result(OpHandle handle) const;  // first element, after a successful await
  std::uint32_t world_size() const { return machine().seen().group_world_size; }
  struct Sleep {
    SimPeer& peer;
    Duration duration;
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> waiter) const {
      peer.later(duration, [&peer = peer, waiter] { peer.resume(waiter); });
    }
    void await_resume() const {}
  };
  Sleep sleep(Duration duration) { return {*this, duration}; }

  World& world() { return world_; }
  int link_resets = 0;
  unsigned freezes = 0;
  std::uint64_t reduces_done = 0;  // successful awaits
  std::uint64_t reduces_failed = 0;
  std::string last_failure;
  std::string doing = "starting";    // for a human who looks at a stuck run
  bool misdescribe_next_op = false;  // a bug of the application, injected
  bool call_wrongly_next = false;
  bool corrupt_next = false;
  Duration pause_next{0};
  std::uint32_t step = 0;  // of the training loop
  std::uint64_t revision = 0;
  SimState state;
  std::uint64_t syncs_done = 0;
  std::uint64_t optimizations_done = 0;

 private:
  using Buffer = std::unique_ptr<std::vector<std::byte>>;
  struct Op {
    OpSpec spec;
    std::uint32_t amount;
    bool in_place;
    Buffer send, receive;
    std::optional<OpKey> key;
    std::optional<node::EndedOp> ended;
    Gate gate;
  };
  struct Retired {
    Buffer buffer;
    Snapshot holds;
  };

  // node::PeerIo
  void send_to_master(Term term, const wire::Message& message) override;
  void close_master() override;
  void redial_master(Duration pause) override;
  void relink(const membership::Relink& relink) override;
  void keep_links(const membership::KeepLinks& keep) override;
  void wake_at(Instant at) override;
  void op_ended(OpHandle handle, node::EndedOp ended) override;
  void connect_ended(const Outcome& outcome) override;
  void call_ended(const Outcome& outcome, bool peers_pending) override;
  void move_state(const membership::MoveState& move) override;
  void drop_source(const PeerId& holder, const std::string& why) override;
  void close_state() override;
  void sync_ended(node::EndedSync ended) override;
  void measure_path(const membership::MeasurePath& measure) override;
  void stop_measuring() override { measuring_.stop(); }
  void note(const std::string& text) override;
  void watch_transfer();

  void handle(const membership::PeerEvent& event);
  void exit();
  void dial_master();
  void open(Gate& gate);
  void resume(std::coroutine_handle<> waiter);
  void end(Op& op, node::EndedOp ended);
  void retire(Buffer buffer, const Snapshot& holds);
  Buffer take_buffer(std::size_t bytes);

  World& world_;
  int slot_;
  PeerOptions options_;
  std::string name_;
  std::unique_ptr<node::PeerCore> core_;
  Door door_;
  StateDoor state_door_;
  Measuring measuring_;
  Control* control_ = nullptr;
  std::uint64_t timer_ = 0;
  std::string blame_;
  bool started_ = false;

  Gate connected_, called_;
  Outcome connect_outcome_;
  CallEnded call_outcome_;
  Gate synced_;
  node::EndedSync sync_outcome_;
  bool history_lost_ = false;  // the group starts from what is left of it
  bool syncing_ = false;       // the library may touch the state
  std::map<OpHandle, std::unique_ptr<Op>> ops_;
  Op* launching_ = nullptr;
  std::uint32_t last_result_ = 0;
  std::vector<Retired> retired_;
  Task<void> script_;
};

}  // namespace pccl::sim
