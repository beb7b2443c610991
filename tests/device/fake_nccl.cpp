#include "fake_nccl.hpp"

#include <cstring>
#include <utility>

#include "kernels/host_kernels.hpp"

namespace pccl_test {

using pccl::DataType;
using pccl::RedOp;
using pccl::device::Location;
using pccl::device::Place;
using pccl::device::Stream;
namespace on_host = pccl::kernels::on_host;

namespace {

DataType type_of(FakeNccl::Type type) {
  for (unsigned number = 0; number < pccl::data_type_count; ++number)
    if (pccl::device::nccl_type(static_cast<DataType>(number)) == type)
      return static_cast<DataType>(number);
  return DataType::uint8;
}

RedOp op_of(FakeNccl::Op op) {
  for (const RedOp candidate : {RedOp::sum, RedOp::prod, RedOp::max, RedOp::min})
    if (pccl::device::nccl_op(candidate) == op) return candidate;
  return RedOp::sum;
}

// One collective: what each rank brings, and what it takes away.
struct Meeting {
  FakeNccl::What what;
  Stream gate = nullptr;  // done once all have come
  std::size_t come = 0;
  std::vector<std::vector<std::byte>> inputs, outputs;
  std::mutex mutex;

  void reduce() {
    const DataType type = type_of(what.type);
    const std::size_t ranks = inputs.size(), bytes = what.count * size_of(type);
    outputs.resize(ranks);
    if (what.kind == FakeNccl::Kind::all_gather) {
      for (auto& output : outputs)
        for (const auto& input : inputs) output.insert(output.end(), input.begin(), input.end());
      return;
    }
    const bool scatter = what.kind == FakeNccl::Kind::reduce_scatter;
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      const std::size_t begin = scatter ? rank * bytes : 0;
      outputs[rank].assign(inputs[0].data() + begin, inputs[0].data() + begin + bytes);
      for (std::size_t other = 1; other < ranks; ++other)
        on_host::reduce(op_of(what.op), type, outputs[rank].data(), outputs[rank].data(),
                        inputs[other].data() + begin, what.count);
    }
  }
};

struct Host {
  std::mutex mutex;
  std::size_t ranks = 0;
  std::map<std::size_t, std::shared_ptr<Meeting>> meetings;  // by the number of the call
};

}  // namespace

}  // namespace pccl_test

struct ncclComm {
  std::shared_ptr<pccl_test::Host> host;
  int rank = 0, gpu = 0;
  std::size_t calls = 0;
  int refuses = 0, broken = 0;
  std::map<std::size_t, int> failures;                 // by the number of the call
  std::map<std::size_t, std::function<void()>> looks;  // the same
  bool blocks = true, hangs = false;
  int at_work = 0;             // so many times more that it says so
  std::function<void()> then;  // what it does at last
};

namespace pccl_test {

FakeNccl::FakeNccl(FakeRuntime& cuda) : cuda_(cuda) {}
FakeNccl::~FakeNccl() = default;

std::vector<ncclComm*> FakeNccl::host(int ranks, int first_gpu) {
  const auto host = std::make_shared<Host>();
  host->ranks = static_cast<std::size_t>(ranks);
  std::vector<ncclComm*> made;
  const std::lock_guard guard(mutex_);
  for (int rank = 0; rank < ranks; ++rank) {
    comms_.push_back(std::make_unique<ncclComm>());
    comms_.back()->host = host;
    comms_.back()->rank = rank;
    comms_.back()->gpu = first_gpu + rank;
    made.push_back(comms_.back().get());
  }
  return made;
}

void FakeNccl::refuse_next_call(ncclComm* comm, int error) {
  const std::lock_guard guard(mutex_);
  comm->refuses = error;
}
void FakeNccl::break_down(ncclComm* comm, int error) {
  const std::lock_guard guard(mutex_);
  comm->broken = error;
}
void FakeNccl::fail_in_call(ncclComm* comm, std::size_t number, int error) {
  const std::lock_guard guard(mutex_);
  comm->failures[number] = error;
}
void FakeNccl::when_called(ncclComm* comm, std::size_t number, std::function<void()> look) {
  const std::lock_guard guard(mutex_);
  comm->looks[number] = std::move(look);
}
void FakeNccl::do_not_block(ncclComm* comm) {
  const std::lock_guard guard(mutex_);
  comm->blocks = false;
}
void FakeNccl::hang(ncclComm* comm, bool hangs) {
  const std::lock_guard guard(mutex_);
  comm->hangs = hangs;
}
std::size_t FakeNccl::calls(ncclComm* comm) const {
  const std::lock_guard guard(mutex_);
  return comm->calls;
}

bool FakeNccl::on_gpu(const void* begin, std::size_t bytes, int gpu) const {
  const auto* const first = static_cast<const std::byte*>(begin);
  const Location wanted{Place::cuda, gpu};
  return bytes > 0 && cuda_.locate(first) == wanted && cuda_.locate(first + bytes - 1) == wanted;
}

int FakeNccl::put(const What& what, const void* send, void* receive, ncclComm* comm,
                  Stream stream) {
  const std::lock_guard guard(mutex_);
  if (comm->refuses != 0) return std::exchange(comm->refuses, 0);
  if (comm->then) return invalid_argument;  // one call at a time
  Host& host = *comm->host;
  const std::size_t bytes = what.count * size_of(type_of(what.type));
  const std::size_t sent = what.kind == Kind::reduce_scatter ? host.ranks * bytes : bytes;
  const std::size_t received = what.kind == Kind::all_gather ? host.ranks * bytes : bytes;
  if (!on_gpu(send, sent, comm->gpu) || !on_gpu(receive, received, comm->gpu))
    return invalid_argument;

  std::shared_ptr<Meeting> meeting;
  {
    const std::lock_guard host_guard(host.mutex);
    auto& found = host.meetings[comm->calls];
    if (found == nullptr) {
      found = std::make_shared<Meeting>();
      found->what = what;
      found->inputs.resize(host.ranks);
      found->gate = cuda_.application_stream(comm->gpu);
      cuda_.hold(found->gate, comm->gpu);
    }
    meeting = found;
  }
  if (meeting->what != what) return invalid_argument;
  if (const auto look = comm->looks.find(comm->calls); look != comm->looks.end()) look->second();
  const auto failure = comm->failures.find(comm->calls);
  const int error = failure == comm->failures.end() ? 0 : failure->second;
  ++comm->calls;

  const auto rank = static_cast<std::size_t>(comm->rank);
  const auto come = [this, meeting, rank, send, sent, gpu = comm->gpu, ranks = host.ranks] {
    const std::lock_guard meeting_guard(meeting->mutex);
    const auto* const begin = static_cast<const std::byte*>(send);
    meeting->inputs[rank].assign(begin, begin + sent);
    if (++meeting->come < ranks) return;
    meeting->reduce();
    cuda_.let_go(meeting->gate, gpu);
  };
  const auto end = [this, meeting, rank, receive, comm, error] {
    if (error != 0) return break_down(comm, error);
    std::memcpy(receive, meeting->outputs[rank].data(), meeting->outputs[rank].size());
  };
  const auto work = [this, stream, comm, gpu = comm->gpu, gate = meeting->gate, come, end] {
    cuda_.put(stream, come, gpu);
    cuda_.follow(gpu, stream, gate);
    cuda_.put(stream, end, gpu);
  };
  if (comm->blocks) return work(), success;
  comm->then = work;
  if (error != 0) comm->then = [comm, error] { comm->broken = error; };
  comm->at_work = 3;
  return in_progress;
}

int FakeNccl::reduce_scatter(const void* send, void* receive, std::size_t count, Type type, Op op,
                             ncclComm* comm, Stream stream) {
  return put({Kind::reduce_scatter, count, type, op}, send, receive, comm, stream);
}
int FakeNccl::all_gather(const void* send, void* receive, std::size_t count, Type type,
                         ncclComm* comm, Stream stream) {
  return put({Kind::all_gather, count, type, Op::sum}, send, receive, comm, stream);
}
int FakeNccl::all_reduce(const void* send, void* receive, std::size_t count, Type type, Op op,
                         ncclComm* comm, Stream stream) {
  return put({Kind::all_reduce, count, type, op}, send, receive, comm, stream);
}

int FakeNccl::comm_count(const ncclComm* comm, int* count) {
  *count = static_cast<int>(comm->host->ranks);
  return success;
}
int FakeNccl::comm_rank(const ncclComm* comm, int* rank) {
  *rank = comm->rank;
  return success;
}
int FakeNccl::comm_gpu(const ncclComm* comm, int* gpu) {
  *gpu = comm->gpu;
  return success;
}

int FakeNccl::async_error(ncclComm* comm, int* error) {
  const std::lock_guard guard(mutex_);
  if (comm->broken == success && (comm->hangs || comm->at_work > 0)) {
    if (!comm->hangs) --comm->at_work;
    *error = in_progress;
    return success;
  }
  if (const auto then = std::exchange(comm->then, {}); then && comm->broken == success) then();
  *error = comm->broken;
  return success;
}

std::string FakeNccl::describe(int error) {
  switch (error) {
    case system_error:
      return "unhandled system error";
    case invalid_argument:
      return "invalid argument";
    case remote_error:
      return "remote process exited or there was a network error";
    default:
      return "error " + std::to_string(error);
  }
}

}  // namespace pccl_test
