#include <algorithm>
#include <cstdint>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/communicator.hpp"
#include "api/enums.hpp"
#include "base/limits.hpp"
#include "device/runtime.hpp"

namespace pccl::api {

namespace {

Answer check_entry(const pcclTensorInfo_t& info, std::size_t index, node::StateEntry& entry) {
  const auto wrong = [&](const std::string& what) {
    return invalid_argument("entry " + std::to_string(index) + ": " + what);
  };
  if (info.name == nullptr) return wrong("the name is NULL");
  const std::string_view name = info.name;
  if (name.size() > limits::reason_bytes)
    return wrong("a name has at most " + std::to_string(limits::reason_bytes) +
                 " bytes, this one " + std::to_string(name.size()));
  const unsigned type = raw(info.datatype);
  const unsigned device = raw(info.device_type);
  if (type >= data_type_count) return wrong("unknown datatype " + std::to_string(type));
  if (device > pcclDeviceCuda) return wrong("unknown device type " + std::to_string(device));
  if (device == pcclDeviceCuda && !device::has_cuda_support())
    return wrong("this build of the library has no CUDA support");
  if (info.count > limits::op_bytes / size_of(static_cast<DataType>(type)))
    return wrong("count " + std::to_string(info.count) + " is over the limit of " +
                 std::to_string(limits::op_bytes >> 40) + " TiB");
  if (info.count > 0 && info.data == nullptr) return wrong("the data is NULL");
  const device::Location where =
      info.count > 0 ? device::location_of(info.data) : device::Location{};
  if (device == pcclDeviceCpu && where.place == device::Place::cuda)
    return wrong("the data is memory of a GPU, and device_type says CPU");
  if (device == pcclDeviceCuda && info.count > 0 && where.place == device::Place::host)
    return wrong("the data is no memory of a GPU, and device_type says CUDA");
  entry = {std::string(name),
           info.data,
           info.count,
           static_cast<DataType>(type),
           info.allow_content_inequality,
           where};
  return success();
}

// Null: all names differ. Four bytes an entry: there may be many.
const std::string* named_twice(const std::vector<node::StateEntry>& entries) {
  std::vector<std::uint32_t> order(entries.size());
  std::iota(order.begin(), order.end(), 0U);
  std::sort(order.begin(), order.end(),
            [&](std::uint32_t a, std::uint32_t b) { return entries[a].name < entries[b].name; });
  const auto twice = std::adjacent_find(
      order.begin(), order.end(),
      [&](std::uint32_t a, std::uint32_t b) { return entries[a].name == entries[b].name; });
  return twice == order.end() ? nullptr : &entries[*twice].name;
}

Answer check_sync(const pcclSharedState_t* state, pcclSharedStateSyncStrategy_t strategy,
                  node::SyncRequest& request) {
  if (state == nullptr) return invalid_argument("the shared state is NULL");
  if (raw(strategy) >= sync_strategy_count)
    return invalid_argument("unknown strategy " + std::to_string(raw(strategy)));
  if (state->count > limits::state_entries)
    return invalid_argument(std::to_string(state->count) + " entries are over the limit of " +
                            std::to_string(limits::state_entries));
  if (state->count > 0 && state->infos == nullptr)
    return invalid_argument("the array of entries is NULL");
  if (state->revision >= limits::highest_number)
    return invalid_argument("revision " + std::to_string(state->revision) + " is not below 2^62");
  request.revision = state->revision;
  request.strategy = static_cast<SyncStrategy>(raw(strategy));
  request.entries.resize(state->count);
  std::uint64_t bytes = 0, names_bytes = 0;
  for (std::size_t index = 0; index < state->count; ++index) {
    node::StateEntry& entry = request.entries[index];
    if (Answer wrong = check_entry(state->infos[index], index, entry); !wrong.ok()) return wrong;
    names_bytes += entry.name.size();
    if (names_bytes > limits::state_names_bytes)
      return invalid_argument("the names of the entries are over the limit of " +
                              std::to_string(limits::state_names_bytes >> 20) + " MiB");
    bytes += entry.count * size_of(entry.type);
    if (bytes > limits::op_bytes)
      return invalid_argument("the state is over the limit of " +
                              std::to_string(limits::op_bytes >> 40) + " TiB");
  }
  if (const std::string* const twice = named_twice(request.entries))
    return invalid_argument("two entries are named \"" + *twice + "\"");
  return success();
}

}  // namespace

}  // namespace pccl::api

using namespace pccl::api;
using pccl::node::PeerNode;

pcclResult_t pcclGetSyncProgress(const pcclComm_t* communicator, uint64_t* bytes_here_out,
                                 uint64_t* bytes_wanted_out) {
  return with_peer("pcclGetSyncProgress", communicator, [&](PeerNode& peer) {
    if (bytes_here_out == nullptr || bytes_wanted_out == nullptr)
      return invalid_argument("an output is NULL");
    const pccl::node::SyncProgress progress = peer.sync_progress();
    *bytes_here_out = progress.bytes_here;
    *bytes_wanted_out = progress.bytes_wanted;
    return success();
  });
}

pcclResult_t pcclSynchronizeSharedState(const pcclComm_t* communicator,
                                        pcclSharedState_t* shared_state,
                                        pcclSharedStateSyncStrategy_t strategy,
                                        pcclSharedStateSyncInfo_t* sync_info_out) {
  return with_communicator("pcclSynchronizeSharedState", communicator, [&](pcclComm_t& entered) {
    pccl::node::SyncRequest request;
    request.stream = entered.stream();
    if (Answer wrong = check_sync(shared_state, strategy, request); !wrong.ok()) return wrong;
    const std::shared_ptr<PeerNode> peer = entered.accepted_node();
    if (peer == nullptr) return invalid_usage("not connected");
    pccl::node::SyncInfo info;
    Answer answer = answer_of(synchronize_result, peer->synchronize(std::move(request), info));
    if (!answer.ok()) return answer;
    shared_state->revision = info.revision;
    if (sync_info_out != nullptr) *sync_info_out = {info.tx_bytes, info.rx_bytes};
    return answer;
  });
}
