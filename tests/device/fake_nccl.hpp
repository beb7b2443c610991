// NCCL on the CPU: ranks are threads of this process, each with a GPU of FakeRuntime. A collective
// is work in the ranks' streams: each rank's part is read when its stream gets there, and results
// are written in each stream some time after all have come, so whoever does not wait sees it. Calls
// that differ between the ranks, and memory that is not of the rank's GPU, are refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "device/nccl.hpp"
#include "fake_runtime.hpp"

namespace pccl_test {

class FakeNccl final : public pccl::device::Nccl {
 public:
  static constexpr int system_error = 2, invalid_argument = 4, remote_error = 6;

  explicit FakeNccl(FakeRuntime& cuda);
  ~FakeNccl() override;
  FakeNccl(const FakeNccl&) = delete;
  FakeNccl& operator=(const FakeNccl&) = delete;

  // Of a host with so many ranks; rank i is on GPU first_gpu + i. They live as long as this.
  std::vector<ncclComm*> host(int ranks, int first_gpu = 0);

  void refuse_next_call(ncclComm* comm, int error);
  void break_down(ncclComm* comm, int error);  // what async_error says from now on
  // The work of its call with this number, from 0, ends without a result; then async_error says so.
  // Of a communicator that does not block the call fails before there is any work.
  void fail_in_call(ncclComm* comm, std::size_t number, int error);
  // By the thread that calls, in its call with this number.
  void when_called(ncclComm* comm, std::size_t number, std::function<void()> look);
  void do_not_block(ncclComm* comm);  // calls give in_progress, and put in their work later
  // From now on it is at work and does not end, until it is told to.
  void hang(ncclComm* comm, bool hangs = true);
  std::size_t calls(ncclComm* comm) const;  // that were not refused

  // Nccl
  int reduce_scatter(const void* send, void* receive, std::size_t count, Type type, Op op,
                     ncclComm* comm, pccl::device::Stream stream) override;
  int all_gather(const void* send, void* receive, std::size_t count, Type type, ncclComm* comm,
                 pccl::device::Stream stream) override;
  int all_reduce(const void* send, void* receive, std::size_t count, Type type, Op op,
                 ncclComm* comm, pccl::device::Stream stream) override;
  int comm_count(const ncclComm* comm, int* count) override;
  int comm_rank(const ncclComm* comm, int* rank) override;
  int comm_gpu(const ncclComm* comm, int* gpu) override;
  int async_error(ncclComm* comm, int* error) override;
  std::string describe(int error) override;

  enum class Kind : std::uint8_t { reduce_scatter, all_gather, all_reduce };
  struct What {
    Kind kind;
    std::size_t count;
    Type type;
    Op op;
    bool operator==(const What&) const = default;
  };

 private:
  int put(const What& what, const void* send, void* receive, ncclComm* comm,
          pccl::device::Stream stream);
  bool on_gpu(const void* begin, std::size_t bytes, int gpu) const;

  FakeRuntime& cuda_;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<ncclComm>> comms_;
};

// Counts as this process's NCCL for as long as it lives.
class InstalledNccl {
 public:
  explicit InstalledNccl(FakeRuntime& cuda) : fake_(cuda) { pccl::device::install_nccl(&fake_); }
  ~InstalledNccl() { pccl::device::install_nccl(nullptr); }
  InstalledNccl(const InstalledNccl&) = delete;
  InstalledNccl& operator=(const InstalledNccl&) = delete;

  FakeNccl* operator->() { return &fake_; }

 private:
  FakeNccl fake_;
};

}  // namespace pccl_test
