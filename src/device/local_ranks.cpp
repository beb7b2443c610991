#include "device/local_ranks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <thread>
#include <utility>

#include "base/interrupt_check.hpp"
#include "base/limits.hpp"

namespace pccl::device {

namespace {

// A wait looks again after a pause that doubles from the first to the longest of these: NCCL needs
// some ten microseconds for little and milliseconds for much.
constexpr Duration first_pause = std::chrono::microseconds(5);
constexpr Duration longest_pause = std::chrono::microseconds(500);

}  // namespace

// NCCL takes the largest of each, over the ranks. The latter two together tell whether all are
// equal.
struct LocalRanks::Votes {
  std::int64_t worst = 0;  // the status in the upper half, the rank in the lower
  std::int64_t number = 0, minus_number = 0;
  static constexpr std::size_t count = 3;
};

std::unique_ptr<LocalRanks> LocalRanks::of(Nccl& nccl, ncclComm* comm, std::string& why) {
  int size = 0, rank = 0, gpu = 0, wrong = 0;
  const auto asked = [&](const char* function, int error) {
    if (error != Nccl::success) why = fmt::format("{}: {}", function, nccl.describe(error));
    return error == Nccl::success;
  };
  if (!asked("ncclCommGetAsyncError", nccl.async_error(comm, &wrong)) ||
      !asked("the communicator of the host has failed", wrong) ||
      !asked("ncclCommCount", nccl.comm_count(comm, &size)) ||
      !asked("ncclCommUserRank", nccl.comm_rank(comm, &rank)) ||
      !asked("ncclCommCuDevice", nccl.comm_gpu(comm, &gpu)))
    return nullptr;
  return std::unique_ptr<LocalRanks>(new LocalRanks(nccl, comm, Gpu::at(gpu), size, rank));
}

LocalRanks::LocalRanks(Nccl& nccl, ncclComm* comm, std::shared_ptr<Gpu> gpu, int size, int rank)
    : nccl_(nccl), comm_(comm), gpu_(std::move(gpu)), size_(size), rank_(rank) {
  queue_ = gpu_->queue();
  votes_on_gpu_ = gpu_->memory(sizeof(Votes));
  pinned_ = host_memory(gpu_.get(), 2 * sizeof(Votes));
  if (pinned_.get_deleter().pinned_by == nullptr)  // copies from the GPU would wait blindly
    throw Error(fmt::format("GPU {}: no pinned memory", gpu_->ordinal()));
  votes_ = reinterpret_cast<Votes*>(pinned_.get());
}

LocalRanks::~LocalRanks() {
  if (queue_->ended()) return;
  // NCCL hangs in the stream and may yet write. To wait for it is to hang as well, so all of this
  // is kept until the process ends.
  struct Kept {
    std::shared_ptr<Queue> queue;
    Memory votes_on_gpu;
    HostMemory votes;
    std::vector<Memory> others;
  };
  static auto* const kept = new std::vector<Kept>;
  static std::mutex mutex;
  const std::lock_guard guard(mutex);
  kept->push_back(
      {std::move(queue_), std::move(votes_on_gpu_), std::move(pinned_), std::move(left_behind_)});
}

// ---- Waiting ----

// The others may be in a collective that this rank does not come to.
Outcome LocalRanks::fail(Status status, std::string why, const Presence& presence) {
  if (!broken_.ok()) return broken_;
  broken_ = {status, std::move(why)};
  presence.leave_run();
  return broken_;
}

Outcome LocalRanks::failure_of_nccl(const Presence& presence) {
  int wrong = Nccl::success;
  int asked = nccl_.async_error(comm_, &wrong);
  if (asked == Nccl::success && wrong != Nccl::in_progress) asked = wrong;
  if (asked == Nccl::success) return {};
  return fail(Status::internal, "NCCL: " + nccl_.describe(asked), presence);
}

Outcome LocalRanks::failure_of_queue(const Presence& presence) {
  if (queue_->error() == 0) return {};
  return fail(Status::internal, fmt::format("GPU {}: {}", gpu_->ordinal(), queue_->why()),
              presence);
}

Outcome LocalRanks::wait_until(const std::function<bool()>& done, const Presence& presence) {
  using Clock = std::chrono::steady_clock;
  Clock::time_point asks_again = Clock::now() + interrupt_check_interval;
  Clock::time_point gives_up = Clock::time_point::max();
  for (Duration pause = first_pause; !done(); pause = std::min(2 * pause, longest_pause)) {
    if (Outcome failed = failure_of_nccl(presence); !failed.ok()) return failed;
    const Clock::time_point now = Clock::now();
    if (now >= gives_up)
      return fail(Status::removed,
                  "no longer in the run, and the other ranks of this host do not come", presence);
    if (now >= asks_again) {
      asks_again = now + interrupt_check_interval;
      if (application_interrupts())
        return fail(Status::interrupted,
                    "interrupted by the application in a wait for this host's ranks", presence);
      if (gives_up == Clock::time_point::max() && !presence.in_run())
        gives_up = now + limits::local_ranks_grace;
    }
    std::this_thread::sleep_for(pause);
  }
  return {};
}

Outcome LocalRanks::settle(const Presence& presence) {
  if (broken()) return broken_;
  if (Outcome given_up = wait_until([this] { return queue_->ended(); }, presence); !given_up.ok())
    return given_up;
  if (Outcome failed = failure_of_queue(presence); !failed.ok()) return failed;
  return failure_of_nccl(presence);  // a collective that was aborted has been carried out, too
}

// A communicator that does not block may still be at work on the call.
Outcome LocalRanks::called(const char* function, int error, const Presence& presence) {
  const auto at_work = [this] {
    int now = Nccl::success;
    return nccl_.async_error(comm_, &now) == Nccl::success && now == Nccl::in_progress;
  };
  if (error == Nccl::in_progress) return wait_until([&] { return !at_work(); }, presence);
  if (error == Nccl::success) return {};
  return fail(Status::internal, fmt::format("{}: {}", function, nccl_.describe(error)), presence);
}

// ---- Collectives ----

// Another queue takes the place of one in which something has gone wrong. All that was put into it
// has been waited for.
Outcome LocalRanks::follow(Stream application) {
  queue_->follow(application);
  if (queue_->error() == 0) return {};
  Outcome failed{Status::internal,
                 fmt::format("GPU {}: the application's stream cannot be followed: {}",
                             gpu_->ordinal(), queue_->why())};
  queue_ = gpu_->queue();
  return failed;
}

Outcome LocalRanks::reduce_scatter(const void* send, void* receive, std::size_t count,
                                   Nccl::Type type, Nccl::Op op, const Presence& presence) {
  if (broken()) return broken_;
  if (Outcome failed = failure_of_queue(presence); !failed.ok()) return failed;
  return called("ncclReduceScatter",
                nccl_.reduce_scatter(send, receive, count, type, op, comm_, queue_->stream()),
                presence);
}

Outcome LocalRanks::all_gather(const void* send, void* receive, std::size_t count, Nccl::Type type,
                               const Presence& presence) {
  if (broken()) return broken_;
  if (Outcome failed = failure_of_queue(presence); !failed.ok()) return failed;
  return called("ncclAllGather",
                nccl_.all_gather(send, receive, count, type, comm_, queue_->stream()), presence);
}

Outcome LocalRanks::agree(Status mine, std::uint64_t number, const Presence& presence,
                          Agreed& agreed) {
  if (broken()) return broken_;
  const auto signed_number = static_cast<std::int64_t>(number);
  votes_[0] = {(static_cast<std::int64_t>(mine) << 32) | rank_, signed_number, -signed_number};
  std::byte* const there = votes_on_gpu_.data();
  queue_->copy(there, &votes_[0], sizeof(Votes));
  // Nobody is to read what has not been written.
  Outcome outcome = failure_of_queue(presence);
  if (!outcome.ok()) return outcome;
  outcome = called("ncclAllReduce",
                   nccl_.all_reduce(there, there, Votes::count, Nccl::Type::int64, Nccl::Op::max,
                                    comm_, queue_->stream()),
                   presence);
  if (!outcome.ok()) return outcome;
  queue_->copy(&votes_[1], there, sizeof(Votes));
  if (outcome = settle(presence); !outcome.ok()) return outcome;
  const Votes& all = votes_[1];
  agreed = {static_cast<Status>(all.worst >> 32), static_cast<int>(all.worst & 0xffffffff),
            all.number == -all.minus_number};
  return {};
}

}  // namespace pccl::device
