#include "chaos/trainer.hpp"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <thread>

#include "chaos/mix.hpp"
#include "chaos/report.hpp"

namespace chaos {

using namespace std::chrono_literals;

Trainer::Trainer(const TrainerOptions& options, Farewell& farewell)
    : options_(options),
      farewell_(farewell),
      model_(options.state_bytes, options.id + 1),
      random_(mix({options.run_seed, options.id, 1})),
      next_launch_((std::uint64_t{options.id} << 32) + 1) {}

void Trainer::run() {
  try {
    while (true) {
      Seat seat(options_.master, ++seats_, farewell_);
      Report("connected", seats_).add("world", seat.world()).send();
      try {
        train_in(seat);
      } catch (const Removed& removed) {
        Report("removed", seats_).send(removed.what());
      }
    }
  } catch (const Leaving&) {
    Report("left", seats_).send();
  }
}

void Trainer::train_in(Seat& seat) {
  for (bool new_here = true;; new_here = false) {
    farewell_.check();
    if (!new_here) admit(seat, round_of(options_.run_seed, model_.step(), 1));
    if (seat.world() < 2) {
      std::this_thread::sleep_for(10ms);
      continue;
    }
    synchronise(seat);
    farewell_.check();
    std::this_thread::sleep_for(std::chrono::microseconds(random_() % 20'000));
    if (!reduce_all(seat, round_of(options_.run_seed, model_.step(), options_.largest_op_bytes)))
      Report("dropped", seats_).add("step", model_.step()).send();
  }
}

void Trainer::admit(Seat& seat, const Round& round) {
  bool pending = round.update_at_once && seat.world() > 1;
  if (!pending) {
    seat.check("pcclArePeersPending", pcclArePeersPending(seat.comm(), &pending));
    if (seat.world() < 2) Report("alone", seats_).send();
  }
  if (pending) seat.check("pcclUpdateTopology", pcclUpdateTopology(seat.comm()));
}

void Trainer::synchronise(Seat& seat) {
  pcclSharedState_t state = model_.view();
  pcclSharedStateSyncInfo_t info{};
  const std::uint64_t offered = state.revision;
  seat.check("pcclSynchronizeSharedState",
             pcclSynchronizeSharedState(seat.comm(), &state,
                                        PCCL_SHARED_STATE_SYNC_STRATEGY_ENFORCE_POPULAR, &info));
  model_.set_step(state.revision);
  Report("synced", seats_)
      .add("step", state.revision)
      .add("digest", model_.digest())
      .add("world", seat.world())
      .add("offered", offered)
      .add("rx", info.rx_bytes)
      .send();
}

bool Trainer::reduce_all(Seat& seat, const Round& round) {
  std::vector<Tensor> tensors;
  for (const Op& op : round.ops) tensors.emplace_back(op, random_() % 2 == 0);
  while (true) {
    // Where a loss leads back to the sync, the library must not retry by itself.
    const auto mode = static_cast<Mode>(random_() % (round.sync_after_loss ? 2 : 3));
    const Outcome outcome = reduce_once(seat, tensors, mode);
    if (outcome == Outcome::alone) return false;
    if (outcome == Outcome::done) break;
    farewell_.check();
    if (round.sync_after_loss) synchronise(seat);
  }
  std::vector<std::uint64_t> results;
  for (const Tensor& tensor : tensors) results.push_back(tensor.digest);
  model_.advance(results);
  return true;
}

// Every op that is not done, once; or until all are done, where the library itself tries again.
Trainer::Outcome Trainer::reduce_once(Seat& seat, std::vector<Tensor>& tensors, Mode mode) {
  switch (mode) {
    case Mode::blocking:
      return blocking(seat, tensors);
    case Mode::async:
      return async(seat, tensors);
    case Mode::many_with_retry:
      return many_with_retry(seat, tensors);
  }
  return Outcome::alone;
}

Trainer::Outcome Trainer::blocking(Seat& seat, std::vector<Tensor>& tensors) {
  for (Tensor& tensor : tensors) {
    if (tensor.done) continue;
    fill(seat, tensor);
    const pcclReduceOpDescriptor_t call = tensor.descriptor();
    pcclReduceInfo_t info{};
    const pcclResult_t result =
        pcclAllReduce(call.sendbuf, call.recvbuf, &call.descriptor, seat.comm(), &info);
    const Outcome outcome = note(seat, tensor, result, info.local_world_size);
    if (outcome != Outcome::done) return outcome;
  }
  return Outcome::done;
}

// All at once, launched and awaited in orders of its own.
Trainer::Outcome Trainer::async(Seat& seat, std::vector<Tensor>& tensors) {
  std::vector<std::size_t> open;
  for (std::size_t i = 0; i < tensors.size(); ++i)
    if (!tensors[i].done) open.push_back(i);
  std::vector<pcclAsyncReduceOp_t> handles(tensors.size());
  std::vector<pcclResult_t> launched(tensors.size());
  for (const std::size_t i : open) fill(seat, tensors[i]);
  std::shuffle(open.begin(), open.end(), random_);
  for (const std::size_t i : open) {
    const pcclReduceOpDescriptor_t call = tensors[i].descriptor();
    launched[i] =
        pcclAllReduceAsync(call.sendbuf, call.recvbuf, &call.descriptor, seat.comm(), &handles[i]);
  }
  if (farewell_.said()) {  // with everything in flight
    seat.leave();
    throw Leaving{};
  }
  std::shuffle(open.begin(), open.end(), random_);
  Outcome outcome = Outcome::done;
  std::string removed;
  for (const std::size_t i : open) {
    pcclReduceInfo_t info{};
    const pcclResult_t result =
        launched[i] == pcclSuccess ? pcclAwaitAsyncReduce(&handles[i], &info) : launched[i];
    try {
      const Outcome one = note(seat, tensors[i], result, info.local_world_size);
      if (one != Outcome::done && outcome != Outcome::alone) outcome = one;
    } catch (const Removed& end) {  // the others are awaited all the same
      removed = end.what();
    }
  }
  if (!removed.empty()) throw Removed(removed);
  return outcome;
}

Trainer::Outcome Trainer::many_with_retry(Seat& seat, std::vector<Tensor>& tensors) {
  std::vector<pcclReduceOpDescriptor_t> calls;
  for (Tensor& tensor : tensors) {
    if (tensor.done) continue;
    fill(seat, tensor);
    calls.push_back(tensor.descriptor());
  }
  pcclReduceInfo_t info{};
  const pcclResult_t result = pcclAllReduceMultipleWithRetry(
      calls.data(), calls.size(), seat.comm(), &info, static_cast<int>(1 + random_() % 6));
  if (result == pcclTooFewPeers) return Outcome::alone;  // some may have been done among more
  seat.check("pcclAllReduceMultipleWithRetry", result);
  for (Tensor& tensor : tensors)
    if (!tensor.done) note(seat, tensor, result, 0);
  return Outcome::done;
}

void Trainer::fill(Seat& seat, Tensor& tensor) {
  const Launch launch{options_.slot, next_launch_++};
  tensor.fill(launch);
  Report("launch", seat.number())
      .add("n", launch.number)
      .add("step", tensor.op().step)
      .add("op", tensor.op().index)
      .send();
}

// `world` is 0 where the call does not tell it of each op.
Trainer::Outcome Trainer::note(Seat& seat, Tensor& tensor, pcclResult_t result,
                               std::uint32_t world) {
  const Op& op = tensor.op();
  if (!tensor.is_intact(result == pcclSuccess))
    wrong(seat, "after " + std::string(pcclGetErrorString(result)) + ": op " +
                    std::to_string(op.index) + " of step " + std::to_string(op.step) +
                    " has another input or has written past the end");
  if (result == pcclSuccess) {
    const std::vector<std::byte> output = tensor.result();
    const auto mask = contributors_in(op, output);
    tensor.done = true;
    tensor.digest = chaos::digest(output.data(), output.size());
    Report("reduced", seat.number())
        .add("n", tensor.launch().number)
        .add("step", op.step)
        .add("op", op.index)
        .add("mask", mask.value_or(0))
        .add("digest", tensor.digest)
        .add("world", world)
        .send();
    if (!mask)
      wrong(seat, "op " + std::to_string(op.index) + " of step " + std::to_string(op.step) +
                      ": a mark that nobody makes");
    return Outcome::done;
  }
  Report("failed", seat.number()).add("n", tensor.launch().number).send(seat.last_error());
  if (result == pcclTooFewPeers) return Outcome::alone;
  if (result != pcclRankConnectionLost) seat.check("an all-reduce", result);
  return Outcome::lost;
}

void Trainer::wrong(const Seat& seat, const std::string& what) const {
  Report("wrong", seat.number()).send(what);
}

}  // namespace chaos
