// How something ended, with the reason in words. A lost peer is a value; a broken promise of our
// own is a bug (PCCL_INVARIANT). No pair of bools is a result, and no exception crosses pccl.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace pccl {

enum class Status : std::uint8_t {
  ok,
  peer_lost,      // a member was lost, or the caller has not seen the newest membership: call again
  removed,        // the master has removed this peer from the run
  master_lost,    // the master cannot be reached, or refuses
  timed_out,      // a configured limit has passed
  interrupted,    // the communicator is being destroyed, or the application wants out
  too_few_peers,  // alone in the group
  pending_ops,    // an all-reduce has been launched and not awaited
  invalid_argument,  // an argument that no state of the run could make valid
  invalid_usage,     // a call that does not fit the state of this peer or of the run
  internal,
};

std::string_view name_of(Status status);

// A status and why it is so; `why` is empty for ok. It names the peer and the phase where there is
// one.
struct Outcome {
  Status status = Status::ok;
  std::string why;

  bool ok() const { return status == Status::ok; }
  static Outcome success() { return {}; }
};

// Ends the process in every build: going on would break agreement between the peers.
[[noreturn]] void invariant_broken(const char* condition, const char* file, int line);

}  // namespace pccl

#define PCCL_INVARIANT(condition) \
  ((condition) ? static_cast<void>(0) : ::pccl::invariant_broken(#condition, __FILE__, __LINE__))
