// A communicator handle: parameters, the PeerNode once connected, and the words of the last
// failure.
//
// Handles are looked up in a table of the living ones, and a call holds its communicator until it
// returns. So a call that is still inside while another thread destroys the communicator ends in
// order (interrupted), and a call with a destroyed handle gets pcclInvalidArgument (living.hpp).
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "api/answer.hpp"
#include "api/error_feedback.hpp"
#include "base/endpoint.hpp"
#include "base/ids.hpp"
#include "hierarchical/all_reduce.hpp"
#include "node/peer_node.hpp"
#include "pccl.h"

struct pcclComm_t {
 public:
  pcclComm_t(pccl::Endpoint master, const pcclCommCreateParams_t& params)
      : master_(master), params_(params) {}

  // Counts a call in; false when the communicator is being destroyed.
  bool enter();
  void leave();
  // Interrupts the calls inside, waits until they have left, leaves the run.
  void close();

  pccl::api::Answer connect();
  pccl::api::Answer set_cohort(pccl::Cohort cohort);

  // Null before the first successful connect. Stays after a removal from the run: its methods then
  // say why.
  std::shared_ptr<pccl::node::PeerNode> accepted_node() const;

  // The application's stream for what follows.
  void set_stream(pccl::device::Stream stream) { stream_ = stream; }
  pccl::device::Stream stream() const { return stream_; }

  // Async ops, from launch to await, with what they have leased.
  void launched(std::uint64_t tag, pccl::api::FeedbackLease lease);
  pccl::api::FeedbackLease awaits(std::uint64_t tag);  // empty: it has leased none, or is unknown
  bool any_in_flight() const;

  std::uint32_t peer_group() const { return params_.peer_group; }
  // What all-reduces go through once a local communicator is attached; null: none is.
  std::shared_ptr<pccl::hierarchical::AllReduce> local() const;
  void attach(std::shared_ptr<pccl::hierarchical::AllReduce> local);

  void remember(std::string_view call, std::string_view why);
  std::string last_error() const;

 private:
  enum class State { idle, connecting, accepted };

  pccl::api::Answer begin_connect();
  pccl::Outcome run_connect();
  void end_connect(bool accepted);

  const pccl::Endpoint master_;
  const pcclCommCreateParams_t params_;

  std::atomic<pccl::device::Stream> stream_ = nullptr;

  mutable std::mutex mutex_;  // of everything below
  std::condition_variable left_;
  int calls_inside_ = 0;
  bool closing_ = false;
  State state_ = State::idle;
  pccl::Cohort cohort_;
  std::map<std::uint64_t, pccl::api::FeedbackLease> in_flight_;  // by tag
  // Outlives the node, whose ops use its memory.
  std::shared_ptr<pccl::hierarchical::AllReduce> local_;
  std::shared_ptr<pccl::node::PeerNode> node_;
  std::string last_error_;
};

namespace pccl::api {

// The living communicator of this handle, counted in; null for any other pointer. Gives it back on
// scope exit.
class Entered {
 public:
  explicit Entered(const pcclComm_t* handle);
  ~Entered();
  Entered(const Entered&) = delete;
  Entered& operator=(const Entered&) = delete;

  explicit operator bool() const { return communicator_ != nullptr; }
  pcclComm_t& operator*() const { return *communicator_; }

 private:
  std::shared_ptr<pcclComm_t> communicator_;
};

void remember_failure(pcclComm_t& communicator, const char* call, const Answer& answer) noexcept;

// The frame of every function with a communicator: pcclNotInitialized first, then the handle, then
// `body`, which gets the pcclComm_t& and gives an Answer whose words are kept for pcclGetLastError.
template <typename Body>
pcclResult_t with_communicator(const char* call, const pcclComm_t* handle, Body&& body) noexcept {
  if (!initialized()) return pcclNotInitialized;
  const Answer outer = without_exceptions([&] {
    const Entered entered(handle);
    if (!entered) return invalid_argument("not a communicator");
    Answer answer = without_exceptions([&] { return body(*entered); });
    if (!answer.ok()) remember_failure(*entered, call, answer);
    return answer;
  });
  return outer.result;
}

// The same for calls that need a peer that has been accepted; `body` gets its PeerNode.
template <typename Body>
pcclResult_t with_peer(const char* call, const pcclComm_t* handle, Body&& body) noexcept {
  return with_communicator(call, handle, [&](pcclComm_t& communicator) -> Answer {
    const std::shared_ptr<node::PeerNode> peer = communicator.accepted_node();
    if (peer == nullptr) return invalid_usage("not connected");
    return body(*peer);
  });
}

}  // namespace pccl::api
