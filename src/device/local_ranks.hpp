// The processes of one host, each with a GPU, as one of them sees the others: an NCCL communicator
// that belongs to the application, and a stream of ours for what we put into it. One thread at a
// time, which makes the same calls in the same order on every rank.
//
// Collectives are put into the stream and carried out later; settle() waits for them. While
// anything here waits it asks NCCL what has gone wrong, the application whether it wants out, and
// the caller whether the run still counts on this peer; only inside a call of NCCL nobody is asked,
// which in a communicator that blocks may last. After a wait that was given up nobody knows what
// the others have done: everything fails from then on. So it does after an error that only this
// rank has seen. This rank then leaves the run, which the waits of the others notice.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.hpp"
#include "base/time.hpp"
#include "device/gpu.hpp"
#include "device/host_memory.hpp"
#include "device/nccl.hpp"

namespace pccl::device {

// What a wait looks at besides the GPU and NCCL.
struct Presence {
  std::function<bool()> in_run;  // false: the other ranks may have gone, too
  // Not ok: the application wants this peer to end, or it cannot go on.
  std::function<Outcome()> may_go_on = [] { return Outcome{}; };
  // The other ranks are not to wait for this one.
  std::function<void(const std::string& why)> leave_run;
};

class LocalRanks {
 public:
  // Null: `wrong` says what is wrong with `comm`; invalid_usage: NCCL has not made it within that
  // time. Throws Error.
  static std::unique_ptr<LocalRanks> of(Nccl& nccl, ncclComm* comm, Outcome& wrong,
                                        Duration longest_making = std::chrono::seconds(30));
  ~LocalRanks();
  LocalRanks(const LocalRanks&) = delete;
  LocalRanks& operator=(const LocalRanks&) = delete;

  int size() const { return size_; }
  int rank() const { return rank_; }
  Gpu& gpu() const { return *gpu_; }
  Queue& queue() const { return *queue_; }

  // What is in the application's stream now comes first. Where that cannot be, all is as it was.
  Outcome follow(Stream application);

  // `count` elements are for, or of, each rank.
  Outcome reduce_scatter(const void* send, void* receive, std::size_t count, Nccl::Type type,
                         Nccl::Op op, const Presence& presence);
  Outcome all_gather(const void* send, void* receive, std::size_t count, Nccl::Type type,
                     const Presence& presence);
  // Until all that was put into the stream has been carried out.
  Outcome settle(const Presence& presence);

  // All ranks hear the same: the worst status that any has named, who named it, and whether all
  // have made the same call and named the same number (both below 2^62). Does not wait for the
  // stream.
  struct Vote {
    Status status = Status::ok;
    std::uint64_t call = 0, number = 0;
  };
  struct Agreed {
    Status status = Status::ok;
    int rank = 0;
    bool same_call = true, same_number = true;
  };
  Outcome agree(const Vote& mine, const Presence& presence, Agreed& agreed);

  const Outcome& broken() const { return broken_; }  // ok: not
  // Memory that work in the stream may still read or write: kept as long as it may.
  void leave_behind(Memory memory) { left_behind_.push_back(std::move(memory)); }

 private:
  LocalRanks(Nccl& nccl, ncclComm* comm, std::shared_ptr<Gpu> gpu, int size, int rank);

  Outcome fail(Status status, std::string why, const Presence& presence);
  // By now; ok: none.
  Outcome failure_of_nccl(const Presence& presence);
  Outcome failure_of(const Queue& queue, const Presence& presence);
  bool at_work();
  Outcome called(const char* function, int error, const Presence& presence);
  Outcome wait_until(const std::function<bool()>& done, const Presence& presence,
                     const std::function<bool()>& others_are_awaited);

  Nccl& nccl_;
  ncclComm* const comm_;
  const std::shared_ptr<Gpu> gpu_;
  const int size_, rank_;
  std::shared_ptr<Queue> queue_;
  std::shared_ptr<Queue> talk_;   // of agree()
  std::shared_ptr<Queue> input_;  // follows the application's stream and does nothing else
  struct Votes;                   // of agree()
  Memory votes_on_gpu_;
  HostMemory pinned_;
  Votes* votes_ = nullptr;  // in it: what goes there, and what comes back
  Outcome broken_;
  bool call_given_up_ = false;  // NCCL may yet put into a stream what it was asked for
  std::vector<Memory> left_behind_;
};

}  // namespace pccl::device
