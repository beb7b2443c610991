// What lives from a peer's connect to its failure, or to the end of the communicator: the loop and
// its thread, the core, and the sockets that carry out what the core decides. What a caller waits
// for is told to Callers.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <thread>

#include "base/interrupt_check.hpp"
#include "net/loop.hpp"
#include "node/callers.hpp"
#include "node/master_connection.hpp"
#include "node/path_probes.hpp"
#include "node/peer_core.hpp"
#include "node/peer_links.hpp"
#include "node/peer_requests.hpp"
#include "node/state_links.hpp"

namespace pccl::node {

inline constexpr const char* left_by_application =
    "interrupted by the application, this peer has left the run";

class PeerSession final : public PeerIo {
 public:
  // Both outlive the session.
  PeerSession(const PeerOptions& options, Callers& callers);
  ~PeerSession() override;  // the loop is not held
  PeerSession(const PeerSession&) = delete;
  PeerSession& operator=(const PeerSession&) = delete;

  // Dials the master; the promise is kept when this peer is admitted, or can no longer be. Fails
  // when this machine has no port to listen on, or the communicator is shut.
  Outcome connect(const Callers::Waiting<Outcome>& promise);

  // These take the loop themselves; any thread.
  void leave(const std::string& why, bool on_purpose);
  // For what has gone wrong here: the others would wait for this peer. Empty: nothing has.
  void leave_because(const std::string& why);
  bool accepted() const { return accepted_; }  // and not removed since
  SyncProgress sync_progress() const { return {bytes_here_, bytes_wanted_}; }
  // Lets the waiting thread run the loop, when nobody else does. An application that has a way to
  // interrupt is asked now and then.
  template <typename Value>
  Value& wait_for(Promise<Value>& promise);

  // The loop is held.
  net::Loop& loop() { return loop_; }
  PeerCore& core() { return core_; }
  void feed(membership::PeerEvent event);
  template <typename Work>
  void with_core(Work work);  // then carries out whatever follows from it
  void refresh_attributes();

 private:
  void settle_core();
  void check_time();
  void tick_again();
  bool interrupted_by_application();
  void watch_transfer();
  StateLinks::Callbacks state_links_callbacks();
  Duration transfer_patience() const { return 2 * options_.peer_timeout; }

  // PeerIo
  void send_to_master(Term term, const wire::Message& message) override;
  void close_master() override { master_.close_after_sending(); }
  void redial_master(Duration pause) override;
  void relink(const membership::Relink& relink) override { links_.relink(relink); }
  void keep_links(const membership::KeepLinks& keep) override { links_.keep(keep); }
  void wake_at(Instant at) override;
  void op_ended(OpHandle handle, EndedOp ended) override;
  void connect_ended(const Outcome& outcome) override;
  void call_ended(const Outcome& outcome, bool peers_pending) override;
  void move_state(const membership::MoveState& move) override;
  void drop_source(const PeerId& holder, const std::string& why) override {
    state_links_.drop_source(holder, why);
  }
  void close_state() override;
  void sync_ended(EndedSync ended) override;
  void measure_path(const membership::MeasurePath& measure) override { probes_.measure(measure); }
  void stop_measuring() override { probes_.stop(); }
  void note(const std::string& text) override;
  void gpu_has_news() override;
  void gpu_has_failed(const std::string& why) override;

  const PeerOptions& options_;
  Callers& callers_;
  net::Loop loop_;
  PeerCore core_;
  PeerLinks links_;
  PathProbes probes_;
  StateLinks state_links_;
  MasterConnection master_;
  net::Loop::Timer timer_{loop_};
  net::Loop::Timer connect_limit_{loop_};
  net::Loop::Timer transfer_timer_{loop_};
  net::Loop::Timer tick_timer_{loop_};
  std::atomic<std::uint32_t> ticks_ = 0;
  std::atomic<bool> ticking_ = false;
  std::atomic<bool> accepted_ = false;
  std::atomic<bool> gpu_news_ = false;                            // on its way to the core
  std::atomic<std::uint64_t> bytes_here_ = 0, bytes_wanted_ = 0;  // of the sync that runs
  std::deque<membership::PeerEvent> inbox_;
  bool core_is_busy_ = false;
  std::optional<Instant> next_ping_check_;
  std::thread thread_;
};

template <typename Work>
void PeerSession::with_core(Work work) {
  core_is_busy_ = true;
  work();
  settle_core();
}

template <typename Value>
Value& PeerSession::wait_for(Promise<Value>& promise) {
  const auto takeover = [this] { return callers_.takeover(); };
  bool interruptible = has_interrupt_check();
  while (interruptible && !promise.kept()) {
    if (!ticking_) {
      const net::Loop::Hold hold(loop_);
      tick_again();
    }
    const std::uint32_t seen = ticks_;
    loop_.run_until([&] { return promise.kept() || ticks_ != seen; }, takeover);
    if (promise.kept_within(ticks_ != seen ? Duration{} : interrupt_check_interval)) break;
    interruptible = !interrupted_by_application();
  }
  loop_.run_until([&] { return promise.kept(); }, takeover);
  return promise.wait();
}

}  // namespace pccl::node
