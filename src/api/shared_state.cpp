#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>

#include "api/communicator.hpp"
#include "api/enums.hpp"
#include "base/limits.hpp"

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
  if (device == pcclDeviceCuda) return wrong("this build of the library has no CUDA support");
  if (info.count > limits::op_bytes / size_of(static_cast<DataType>(type)))
    return wrong("count " + std::to_string(info.count) + " is over the limit of " +
                 std::to_string(limits::op_bytes >> 40) + " TiB");
  if (info.count > 0 && info.data == nullptr) return wrong("the data is NULL");
  entry = {std::string(name), info.data, info.count, static_cast<DataType>(type),
           info.allow_content_inequality};
  return success();
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
  request.revision = state->revision;
  request.strategy = static_cast<SyncStrategy>(raw(strategy));
  request.entries.resize(state->count);
  std::unordered_set<std::string_view> names;
  std::uint64_t bytes = 0;
  for (std::size_t index = 0; index < state->count; ++index) {
    node::StateEntry& entry = request.entries[index];
    if (Answer wrong = check_entry(state->infos[index], index, entry); !wrong.ok()) return wrong;
    if (!names.insert(entry.name).second)
      return invalid_argument("two entries are named \"" + entry.name + "\"");
    bytes += entry.count * size_of(entry.type);
    if (bytes > limits::op_bytes)
      return invalid_argument("the state is over the limit of " +
                              std::to_string(limits::op_bytes >> 40) + " TiB");
  }
  return success();
}

}  // namespace

}  // namespace pccl::api

using namespace pccl::api;
using pccl::node::PeerNode;

pcclResult_t pcclSynchronizeSharedState(const pcclComm_t* communicator,
                                        pcclSharedState_t* shared_state,
                                        pcclSharedStateSyncStrategy_t strategy,
                                        pcclSharedStateSyncInfo_t* sync_info_out) {
  return with_communicator("pcclSynchronizeSharedState", communicator, [&](pcclComm_t& entered) {
    pccl::node::SyncRequest request;
    if (Answer wrong = check_sync(shared_state, strategy, request); !wrong.ok()) return wrong;
    const std::shared_ptr<PeerNode> peer = entered.accepted_node();
    if (peer == nullptr) return invalid_usage("not connected");
    pccl::node::SyncInfo info;
    Answer answer = answer_of(synchronize_result, peer->synchronize(request, info));
    if (!answer.ok()) return answer;
    shared_state->revision = info.revision;
    if (sync_info_out != nullptr) *sync_info_out = {info.tx_bytes, info.rx_bytes};
    return answer;
  });
}
