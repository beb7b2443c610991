#include "device/nccl.hpp"

#include <atomic>
#include <memory>
#include <mutex>
#include <type_traits>

#if defined(__linux__)  // where NCCL is
#include <dlfcn.h>
#endif

namespace pccl::device {

namespace {

std::atomic<Nccl*> installed{nullptr};

#if defined(__linux__)

// Where the names of NCCL's C functions lead.
class LoadedNccl final : public Nccl {
 public:
  // The name that `library` lacks, or null when it has all.
  const char* look_up(void* library) {
    const auto find = [library](const char* name, auto& function) {
      function =
          reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
      return function != nullptr;
    };
    if (!find("ncclReduceScatter", reduce_scatter_)) return "ncclReduceScatter";
    if (!find("ncclAllGather", all_gather_)) return "ncclAllGather";
    if (!find("ncclAllReduce", all_reduce_)) return "ncclAllReduce";
    if (!find("ncclCommCount", comm_count_)) return "ncclCommCount";
    if (!find("ncclCommUserRank", comm_rank_)) return "ncclCommUserRank";
    if (!find("ncclCommCuDevice", comm_gpu_)) return "ncclCommCuDevice";
    if (!find("ncclCommGetAsyncError", async_error_)) return "ncclCommGetAsyncError";
    if (!find("ncclGetErrorString", error_string_)) return "ncclGetErrorString";
    return nullptr;
  }

  int reduce_scatter(const void* send, void* receive, std::size_t count, Type type, Op op,
                     ncclComm* comm, Stream stream) override {
    return reduce_scatter_(send, receive, count, type, op, comm, stream);
  }
  int all_gather(const void* send, void* receive, std::size_t count, Type type, ncclComm* comm,
                 Stream stream) override {
    return all_gather_(send, receive, count, type, comm, stream);
  }
  int all_reduce(const void* send, void* receive, std::size_t count, Type type, Op op,
                 ncclComm* comm, Stream stream) override {
    return all_reduce_(send, receive, count, type, op, comm, stream);
  }
  int comm_count(const ncclComm* comm, int* count) override { return comm_count_(comm, count); }
  int comm_rank(const ncclComm* comm, int* rank) override { return comm_rank_(comm, rank); }
  int comm_gpu(const ncclComm* comm, int* gpu) override { return comm_gpu_(comm, gpu); }
  int async_error(ncclComm* comm, int* error) override { return async_error_(comm, error); }
  std::string describe(int error) override { return error_string_(error); }

 private:
  // nccl.h, with enums as the ints that they are
  using Reduce = int (*)(const void*, void*, std::size_t, Type, Op, ncclComm*, Stream);
  using Gather = int (*)(const void*, void*, std::size_t, Type, ncclComm*, Stream);
  using Ask = int (*)(const ncclComm*, int*);
  Reduce reduce_scatter_ = nullptr, all_reduce_ = nullptr;
  Gather all_gather_ = nullptr;
  Ask comm_count_ = nullptr, comm_rank_ = nullptr, comm_gpu_ = nullptr;
  int (*async_error_)(ncclComm*, int*) = nullptr;
  const char* (*error_string_)(int) = nullptr;
};

#endif

}  // namespace

#if defined(__linux__)

Nccl* find_nccl(std::string& why) {
  if (Nccl* const stand_in = installed) return stand_in;
  static std::mutex mutex;
  static LoadedNccl* found = nullptr;  // outlives whoever uses it at exit
  const std::lock_guard guard(mutex);
  if (found != nullptr) return found;
  // Under its own name, as PyTorch brings it and programs link it; or else linked into the program.
  void* const library = dlopen("libnccl.so.2", RTLD_NOW | RTLD_NOLOAD);
  auto here = std::make_unique<LoadedNccl>();
  const char* const missing = here->look_up(library != nullptr ? library : RTLD_DEFAULT);
  if (missing != nullptr) {
    why = library == nullptr ? "this process has not loaded NCCL (libnccl.so.2)"
                             : std::string("the NCCL of this process has no ") + missing;
    if (library != nullptr) dlclose(library);
    return nullptr;
  }
  return found = here.release();
}

#else

Nccl* find_nccl(std::string& why) {
  if (Nccl* const stand_in = installed) return stand_in;
  why = "there is no NCCL for this system";
  return nullptr;
}

#endif

void install_nccl(Nccl* stand_in) {
  installed = stand_in;
}

std::optional<Nccl::Type> nccl_type(DataType type) {
  switch (type) {
    case DataType::uint8:
      return Nccl::Type::uint8;
    case DataType::int8:
      return Nccl::Type::int8;
    case DataType::int16:
    case DataType::uint16:
      return std::nullopt;
    case DataType::uint32:
      return Nccl::Type::uint32;
    case DataType::int32:
      return Nccl::Type::int32;
    case DataType::uint64:
      return Nccl::Type::uint64;
    case DataType::int64:
      return Nccl::Type::int64;
    case DataType::float16:
      return Nccl::Type::float16;
    case DataType::bfloat16:
      return Nccl::Type::bfloat16;
    case DataType::float32:
      return Nccl::Type::float32;
    case DataType::float64:
      return Nccl::Type::float64;
  }
  return std::nullopt;
}

Nccl::Op nccl_op(RedOp op) {
  switch (op) {
    case RedOp::sum:
    case RedOp::avg:
      return Nccl::Op::sum;
    case RedOp::prod:
      return Nccl::Op::prod;
    case RedOp::max:
      return Nccl::Op::max;
    case RedOp::min:
      return Nccl::Op::min;
  }
  return Nccl::Op::sum;
}

}  // namespace pccl::device
