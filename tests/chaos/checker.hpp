// Proves from what the peers report:
//
//   results    each success of an op has the bits that its contributors' launches give, and as many
//              contributors as the world had members; a launch is part of one success at most
//   agreement  nobody goes on after a failure of an op next to somebody who goes on after its
//              success
//   revisions  a revision of the shared state has one content; no seat sees them go back
//
// Who is removed from the run, by a freeze or a cut, may have heard less or more than the others.
// So a contradiction is a violation once both its sides have gone on in their seats, with a sync or
// with an op that they launched later: one run, two truths.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "chaos/contribution.hpp"
#include "chaos/round.hpp"
#include "e2e/process.hpp"

namespace chaos {

struct CheckerCounts {
  std::uint64_t successes = 0, failures = 0, ops = 0, syncs = 0, fetches = 0, contradictions = 0,
                histories = 1;
  std::uint64_t newest_step = 0;
};

class Checker {
 public:
  Checker(std::uint64_t run_seed, std::size_t largest_op_bytes)
      : run_seed_(run_seed), largest_op_bytes_(largest_op_bytes) {}

  // Every peer's lines, in its order. Throws Violation.
  void read(std::uint32_t peer, std::uint32_t slot, const e2e::Line& line);
  // After a pass over all peers, each read to the end.
  void settle();

  const CheckerCounts& counts() const { return counts_; }

 private:
  using OpName = std::pair<std::uint64_t, std::uint32_t>;  // step, index
  struct Witness {                                         // a peer in a seat at a time
    std::uint32_t peer = 0;
    std::uint64_t seat = 0, t = 0;
  };
  struct Success {
    Witness who;
    OpName op;
    std::uint64_t launch = 0, digest = 0;
    std::uint32_t slot = 0, mask = 0, world = 0;
  };
  struct Execution {
    OpName op;
    std::uint32_t mask = 0;
    std::uint64_t digest = 0;
    std::vector<Launch> contributors;
    std::vector<Witness> witnesses;
  };
  struct Contradiction {
    Witness one, other;
    std::string what;
  };
  struct Revision {
    std::uint64_t digest = 0;
    std::vector<Witness> holders;
  };

  void read_synced(const Witness& who, const e2e::Line& line);
  void check(const Success& success);
  std::shared_ptr<Execution> execution_of(const Success& success);
  bool choose(const Success& success, Execution& execution);
  void contradict(const Witness& one, const Witness& other, std::string what);
  void goes_on(const Witness& who);
  void forget_the_old();

  std::uint64_t run_seed_;
  std::size_t largest_op_bytes_;
  CheckerCounts counts_;
  std::map<OpName, std::vector<Launch>> launches_;
  // What was read in this pass, and in the one before: what led to the latter has been read by now.
  std::vector<Success> fresh_, unsettled_;
  std::map<std::uint64_t, std::shared_ptr<Execution>> executions_;  // by each of its launches
  std::map<std::uint64_t, Witness> failures_;                       // by launch
  std::map<std::uint64_t, std::uint64_t> launched_at_;
  std::deque<std::uint64_t> order_;  // of the launches
  std::map<std::uint64_t, Revision> revisions_;
  std::map<std::uint32_t, Witness> newest_;  // beginning of what each peer has succeeded in
  std::map<std::uint32_t, std::uint64_t> step_in_seat_;
  std::vector<Contradiction> contradictions_;
};

}  // namespace chaos
