// As much of NCCL as the library uses: collectives among the GPUs of one host. It is looked for in
// the process when it is first needed, so that it is no dependency; its numbers are part of its ABI
// and written down here, so that no header is needed either. Tests play it on the CPU
// (tests/device/fake_nccl.hpp).
//
// Functions return a number of NCCL's (ncclResult_t), 0 for success. Collectives are put into a
// stream and carried out later. Calls on one communicator come from one thread at a time, and in
// the same order on all its ranks.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "base/dtype.hpp"
#include "device/runtime.hpp"

struct ncclComm;

namespace pccl::device {

class Nccl {
 public:
  static constexpr int success = 0, in_progress = 7;  // ncclResult_t
  enum class Type : int {                             // ncclDataType_t
    int8 = 0,
    uint8 = 1,
    int32 = 2,
    uint32 = 3,
    int64 = 4,
    uint64 = 5,
    float16 = 6,
    float32 = 7,
    float64 = 8,
    bfloat16 = 9,
  };
  enum class Op : int { sum = 0, prod = 1, max = 2, min = 3 };  // ncclRedOp_t

  virtual ~Nccl() = default;
  // `count` is that of one rank's part.
  virtual int reduce_scatter(const void* send, void* receive, std::size_t count, Type type, Op op,
                             ncclComm* comm, Stream stream) = 0;
  virtual int all_gather(const void* send, void* receive, std::size_t count, Type type,
                         ncclComm* comm, Stream stream) = 0;
  virtual int all_reduce(const void* send, void* receive, std::size_t count, Type type, Op op,
                         ncclComm* comm, Stream stream) = 0;
  virtual int comm_count(const ncclComm* comm, int* count) = 0;
  virtual int comm_rank(const ncclComm* comm, int* rank) = 0;
  virtual int comm_gpu(const ncclComm* comm, int* gpu) = 0;  // CUDA's number of it
  // What has gone wrong with the communicator by now; in_progress: it is at work on a call.
  virtual int async_error(ncclComm* comm, int* error) = 0;
  virtual std::string describe(int error) = 0;
};

std::optional<Nccl::Type> nccl_type(DataType type);  // nullopt: NCCL has none
Nccl::Op nccl_op(RedOp op);                          // avg adds, and is divided elsewhere

// The one that this process has loaded. It does not load one: whoever holds a communicator has done
// that, and another copy could not read it. Null: there is none, and `why` says what was missing.
Nccl* find_nccl(std::string& why);

// For tests: this one counts from now on, and the real one again after null.
void install_nccl(Nccl* stand_in);

}  // namespace pccl::device
