// A run of real processes: pccl-master and peers (peer.cpp), told what to do and asked what came of
// it.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "e2e/clock.hpp"
#include "e2e/process.hpp"

namespace e2e {

struct RunOptions {
  double peer_timeout_s = 3;
  double master_timeout_s = 60;
  bool v6 = false;
  std::string host = "127.0.0.1";  // of the master, as peers and the master itself know it
  int master_namespace = -1;
  std::vector<std::string> master_arguments{};
};

struct PeerOptions {
  std::uint32_t group = 0;
  std::uint32_t lanes = 0;
  int network_namespace = -1;
  std::map<std::string, std::string> environment;
};

class Peer : public Process {
 public:
  Peer(std::uint32_t id, const RunOptions& run, std::uint16_t master_port,
       const PeerOptions& options);

  std::uint32_t id() const { return id_; }
  void create();                                   // a new communicator
  Line answer(Clock::duration within = patience);  // of the oldest command that has none
  Line ask(const std::string& command, Clock::duration within = patience) {
    say(command);
    return answer(within);
  }
  Line event(const std::string& name, Clock::duration within = patience);
  Line event_after(const std::string& name, std::uint64_t t, Clock::duration within = patience);
  bool has_answered();
  std::uint64_t rounds();    // that its loops have done
  void wait_for_progress();  // until a round that begins now has ended
  // The port at which its ring predecessor dials it.
  std::uint16_t p2p_port() const;
  std::vector<std::uint16_t> doors() const;  // all ports it listens on: p2p, shared state
  std::size_t resident_kib() const;

 private:
  std::uint32_t id_;
  std::string create_;
};

std::size_t resident_kib(pid_t process);
std::vector<std::string> open_files(pid_t process);               // what its descriptors are
bool connected_to(pid_t process, const std::string& v4_address);  // anything on its host is
std::uint16_t free_port();

class LiveRun {
 public:
  explicit LiveRun(RunOptions options = {});
  // A test that went well ends every process in peace: a sanitizer's report counts.
  ~LiveRun();
  LiveRun(const LiveRun&) = delete;
  LiveRun& operator=(const LiveRun&) = delete;

  std::uint16_t port() const { return port_; }
  Process& master() { return *master_; }
  void start_master();

  Peer& start(const PeerOptions& options = {});  // a process with a communicator
  std::vector<Peer*> join(std::size_t count, const PeerOptions& options = {});  // all accepted

 private:
  RunOptions options_;
  std::uint16_t port_ = 0;
  std::unique_ptr<Process> master_;
  std::vector<std::unique_ptr<Peer>> peers_;
};

// All are told, then all are waited for.
std::vector<Line> ask_all(const std::vector<Peer*>& peers, const std::string& command);
std::vector<Line> answers(const std::vector<Peer*>& peers, Clock::duration within = patience);
void expect_all(const std::vector<Line>& lines, const std::string& result);

// Until all of them have succeeded in a loop with so many peers, in seconds after `since`.
double seconds_until_world(const std::vector<Peer*>& peers, std::size_t world, std::uint64_t since);

// Until all pending peers are registered at the master, as the accepted peers (who must be idle)
// see.
void wait_until_pending(const std::vector<Peer*>& accepted);

// Ends a running loop and checks that nothing in it was wrong; the answers.
std::vector<Line> stop_loop(const std::vector<Peer*>& peers);

}  // namespace e2e
