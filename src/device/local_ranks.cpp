#include "device/local_ranks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
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

using Clock = std::chrono::steady_clock;

// From what may be tried again to what no rank can do anything about: of several that ranks name,
// the last here counts.
constexpr std::array by_severity = {Status::ok,
                                    Status::peer_lost,
                                    Status::too_few_peers,
                                    Status::timed_out,
                                    Status::master_lost,
                                    Status::removed,
                                    Status::interrupted,
                                    Status::pending_ops,
                                    Status::invalid_argument,
                                    Status::invalid_usage,
                                    Status::internal};
static_assert(by_severity.size() == static_cast<std::size_t>(Status::internal) + 1);

std::int64_t severity(Status status) {
  return std::ranges::find(by_severity, status) - by_severity.begin();
}

// One that does not block is made by a thread of NCCL's.
Outcome made(Nccl& nccl, ncclComm* comm, Duration longest) {
  const Clock::time_point gives_up = Clock::now() + longest;
  Clock::time_point asks_again = Clock::now() + interrupt_check_interval;
  for (Duration pause = first_pause;; pause = std::min(2 * pause, longest_pause)) {
    int now = Nccl::success;
    if (const int error = nccl.async_error(comm, &now); error != Nccl::success)
      return {Status::invalid_argument,
              fmt::format("ncclCommGetAsyncError: {}", nccl.describe(error))};
    if (now == Nccl::success) return {};
    if (now != Nccl::in_progress)
      return {Status::invalid_argument,
              fmt::format("the communicator of the host has failed: {}", nccl.describe(now))};
    if (Clock::now() >= gives_up)
      return {Status::invalid_usage, "NCCL is still making the communicator of the host"};
    if (Clock::now() >= asks_again) {
      asks_again = Clock::now() + interrupt_check_interval;
      if (application_interrupts())
        return {Status::interrupted,
                "interrupted by the application while NCCL makes the communicator of the host"};
    }
    std::this_thread::sleep_for(pause);
  }
}

const auto at_once = [] { return true; };

}  // namespace

// NCCL takes the largest of each, over the ranks. A number and its negative together tell whether
// all are equal.
struct LocalRanks::Votes {
  std::int64_t worst = 0;  // the severity in the upper half, the rank in the lower
  std::int64_t call = 0, minus_call = 0;
  std::int64_t number = 0, minus_number = 0;
  static constexpr std::size_t count = 5;
};

std::unique_ptr<LocalRanks> LocalRanks::of(Nccl& nccl, ncclComm* comm, Outcome& wrong,
                                           Duration longest_making) {
  wrong = made(nccl, comm, longest_making);
  int size = 0, rank = 0, gpu = 0;
  const auto asked = [&](const char* function, int error) {
    if (error != Nccl::success)
      wrong = {Status::invalid_argument, fmt::format("{}: {}", function, nccl.describe(error))};
    return error == Nccl::success;
  };
  if (!wrong.ok() || !asked("ncclCommCount", nccl.comm_count(comm, &size)) ||
      !asked("ncclCommUserRank", nccl.comm_rank(comm, &rank)) ||
      !asked("ncclCommCuDevice", nccl.comm_gpu(comm, &gpu)))
    return nullptr;
  return std::unique_ptr<LocalRanks>(new LocalRanks(nccl, comm, Gpu::at(gpu), size, rank));
}

LocalRanks::LocalRanks(Nccl& nccl, ncclComm* comm, std::shared_ptr<Gpu> gpu, int size, int rank)
    : nccl_(nccl), comm_(comm), gpu_(std::move(gpu)), size_(size), rank_(rank) {
  queue_ = gpu_->queue();
  talk_ = gpu_->queue();
  input_ = gpu_->queue();
  votes_on_gpu_ = gpu_->memory(sizeof(Votes));
  pinned_ = host_memory(gpu_.get(), 2 * sizeof(Votes));
  if (pinned_.get_deleter().pinned_by == nullptr)  // copies from the GPU would wait blindly
    throw Error(fmt::format("GPU {}: no pinned memory", gpu_->ordinal()));
  votes_ = reinterpret_cast<Votes*>(pinned_.get());
}

LocalRanks::~LocalRanks() {
  input_->lingers = true;  // it only waits for the application
  if (broken_.ok()) {
    queue_->lingers = true;  // so does this, if for anything: all else has been settled
    return;
  }
  if (!call_given_up_ && queue_->ended() && talk_->ended()) return;
  // NCCL hangs in a stream and may yet write, or has not even put into it what it was asked for. To
  // wait for it is to hang as well, so all of this is kept until the process ends.
  struct Kept {
    std::shared_ptr<Queue> queue, talk;
    Memory votes_on_gpu;
    HostMemory votes;
    std::vector<Memory> others;
  };
  static auto* const kept = new std::vector<Kept>;
  static std::mutex mutex;
  const std::lock_guard guard(mutex);
  kept->push_back({std::move(queue_), std::move(talk_), std::move(votes_on_gpu_),
                   std::move(pinned_), std::move(left_behind_)});
}

// ---- Waiting ----

// The others may be in a collective that this rank does not come to.
Outcome LocalRanks::fail(Status status, std::string why, const Presence& presence) {
  if (!broken_.ok()) return broken_;
  broken_ = {status, std::move(why)};
  presence.leave_run(broken_.why);
  return broken_;
}

Outcome LocalRanks::failure_of_nccl(const Presence& presence) {
  int wrong = Nccl::success;
  int asked = nccl_.async_error(comm_, &wrong);
  if (asked == Nccl::success && wrong != Nccl::in_progress) asked = wrong;
  if (asked == Nccl::success) return {};
  return fail(Status::internal, "NCCL: " + nccl_.describe(asked), presence);
}

Outcome LocalRanks::failure_of(const Queue& queue, const Presence& presence) {
  if (queue.error() == 0) return {};
  return fail(Status::internal, fmt::format("GPU {}: {}", gpu_->ordinal(), queue.why()), presence);
}

Outcome LocalRanks::wait_until(const std::function<bool()>& done, const Presence& presence,
                               const std::function<bool()>& others_are_awaited) {
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
      if (gives_up == Clock::time_point::max() && !presence.in_run()) {
        if (others_are_awaited())
          gives_up = now + limits::local_ranks_grace;
        else if (const Outcome may = presence.may_go_on(); !may.ok())
          return fail(may.status, may.why, presence);
      }
    }
    std::this_thread::sleep_for(pause);
  }
  return {};
}

// The others are given no less time because this rank's own input is late; it may be called off.
Outcome LocalRanks::settle(const Presence& presence) {
  if (!broken_.ok()) return broken_;
  if (Outcome given_up = wait_until([this] { return queue_->ended(); }, presence,
                                    [this] { return input_->ended(); });
      !given_up.ok())
    return given_up;
  if (Outcome failed = failure_of(*queue_, presence); !failed.ok()) return failed;
  return failure_of_nccl(presence);  // a collective that was aborted has been carried out, too
}

bool LocalRanks::at_work() {
  int now = Nccl::success;
  return nccl_.async_error(comm_, &now) == Nccl::success && now == Nccl::in_progress;
}

// A communicator that does not block hands the call to a thread of NCCL's where GPUs have to be
// connected first.
Outcome LocalRanks::called(const char* function, int error, const Presence& presence) {
  if (error == Nccl::success) return {};
  if (error != Nccl::in_progress)
    return fail(Status::internal, fmt::format("{}: {}", function, nccl_.describe(error)), presence);
  if (Outcome given_up = wait_until([this] { return !at_work(); }, presence, at_once);
      !given_up.ok()) {
    call_given_up_ = true;
    return given_up;
  }
  return failure_of_nccl(presence);
}

// ---- Collectives ----

// Another queue takes the place of one in which something has gone wrong, and in which there is
// nothing but waiting for the application.
Outcome LocalRanks::follow(Stream application) {
  for (std::shared_ptr<Queue>* const queue : {&queue_, &input_}) {
    (*queue)->follow(application);
    if ((*queue)->error() == 0) continue;
    Outcome failed{Status::internal,
                   fmt::format("GPU {}: the application's stream cannot be followed: {}",
                               gpu_->ordinal(), (*queue)->why())};
    (*queue)->lingers = true;
    *queue = gpu_->queue();
    return failed;
  }
  return {};
}

Outcome LocalRanks::reduce_scatter(const void* send, void* receive, std::size_t count,
                                   Nccl::Type type, Nccl::Op op, const Presence& presence) {
  if (!broken_.ok()) return broken_;
  if (Outcome failed = failure_of(*queue_, presence); !failed.ok()) return failed;
  return called("ncclReduceScatter",
                nccl_.reduce_scatter(send, receive, count, type, op, comm_, queue_->stream()),
                presence);
}

Outcome LocalRanks::all_gather(const void* send, void* receive, std::size_t count, Nccl::Type type,
                               const Presence& presence) {
  if (!broken_.ok()) return broken_;
  if (Outcome failed = failure_of(*queue_, presence); !failed.ok()) return failed;
  return called("ncclAllGather",
                nccl_.all_gather(send, receive, count, type, comm_, queue_->stream()), presence);
}

// In a stream of its own: who asks for something wrong hears of it before the application's work
// has ended. NCCL keeps to the order of the calls, whatever the streams.
Outcome LocalRanks::agree(const Vote& mine, const Presence& presence, Agreed& agreed) {
  if (!broken_.ok()) return broken_;
  const auto call = static_cast<std::int64_t>(mine.call);
  const auto number = static_cast<std::int64_t>(mine.number);
  votes_[0] = {(severity(mine.status) << 32) | rank_, call, -call, number, -number};
  std::byte* const there = votes_on_gpu_.data();
  talk_->copy(there, &votes_[0], sizeof(Votes));
  // Nobody is to read what has not been written.
  if (Outcome failed = failure_of(*talk_, presence); !failed.ok()) return failed;
  if (Outcome failed = called("ncclAllReduce",
                              nccl_.all_reduce(there, there, Votes::count, Nccl::Type::int64,
                                               Nccl::Op::max, comm_, talk_->stream()),
                              presence);
      !failed.ok())
    return failed;
  talk_->copy(&votes_[1], there, sizeof(Votes));
  if (Outcome given_up = wait_until([this] { return talk_->ended(); }, presence, at_once);
      !given_up.ok())
    return given_up;
  if (Outcome failed = failure_of(*talk_, presence); !failed.ok()) return failed;
  if (Outcome failed = failure_of_nccl(presence); !failed.ok()) return failed;
  const Votes& all = votes_[1];
  agreed = {by_severity.at(static_cast<std::size_t>(all.worst >> 32)),
            static_cast<int>(all.worst & 0xffffffff), all.call == -all.minus_call,
            all.number == -all.minus_number};
  return {};
}

}  // namespace pccl::device
