// pcclCommAttachLocal: which NCCL communicator, and whether it will do.
#include <fmt/format.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "api/communicator.hpp"
#include "device/local_ranks.hpp"
#include "device/nccl.hpp"
#include "device/runtime.hpp"
#include "hierarchical/all_reduce.hpp"

namespace pccl::api {

namespace {

Answer attach(pcclComm_t& communicator, ncclComm* local, device::Stream stream) {
  // Its await would ask the wrong ranks.
  if (communicator.any_in_flight())
    return {pcclPendingAsyncOps, "an async all-reduce has not been awaited"};
  if (local == nullptr) return communicator.attach(nullptr), success();
  if (!device::has_cuda_support())
    return invalid_usage("this build of the library has no CUDA support");
  std::string why;
  device::Nccl* const nccl = device::find_nccl(why);
  if (nccl == nullptr) return invalid_usage(std::move(why));
  Outcome wrong;
  std::unique_ptr<device::LocalRanks> ranks = device::LocalRanks::of(*nccl, local, wrong);
  if (ranks == nullptr) return answer_of(launch_result, wrong);
  // Else shards of different parts would be added up between hosts, and nobody could tell.
  const auto size = static_cast<std::uint32_t>(ranks->size());
  if (communicator.peer_group() % size != static_cast<std::uint32_t>(ranks->rank()))
    return invalid_argument(fmt::format(
        "rank {} of the {} of this host is in peer group {}, where another shard is reduced",
        ranks->rank(), size, communicator.peer_group()));
  communicator.attach(std::make_shared<hierarchical::AllReduce>(std::move(ranks),
                                                                communicator.peer_group() / size));
  communicator.set_stream(stream);
  return success();
}

}  // namespace

}  // namespace pccl::api

pcclResult_t pcclCommAttachLocal(pcclComm_t* communicator, struct ncclComm* local, void* stream) {
  return pccl::api::with_communicator(
      "pcclCommAttachLocal", communicator, [&](pcclComm_t& entered) {
        return pccl::api::attach(entered, local, static_cast<pccl::device::Stream>(stream));
      });
}
