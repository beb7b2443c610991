// A master on a thread of its own.
#pragma once

#include <memory>
#include <string>

#include "base/endpoint.hpp"
#include "base/status.hpp"
#include "base/time.hpp"

namespace pccl::node {

struct MasterOptions {
  Endpoint listen;
  Duration peer_timeout = std::chrono::seconds(3);
  bool accept_restored_state = false;  // membership/state_election.hpp
  Duration straggler_timeout{0};       // 0: off
  bool remove_stragglers = false;
  Duration grace = std::chrono::seconds(1);  // for the peers of a life before, ahead of newcomers
  std::string state_file;                    // empty: none
};

class MasterNode {
 public:
  explicit MasterNode(MasterOptions options);
  ~MasterNode();  // interrupts and waits
  MasterNode(const MasterNode&) = delete;
  MasterNode& operator=(const MasterNode&) = delete;

  Outcome run();          // binds and starts the thread; invalid_usage: port in use, or run before
  bool launched() const;  // run() has been called with success
  void interrupt() noexcept;  // async-signal-safe
  // Until it has been interrupted; repeatable, from any thread. Status::interrupted: the
  // application wants out of the wait, and the master still runs.
  Outcome await_termination();
  Endpoint listening() const;  // the bound endpoint, with the port chosen for port 0

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pccl::node
