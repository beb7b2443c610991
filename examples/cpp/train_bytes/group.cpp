#include "group.hpp"

#include <array>
#include <chrono>
#include <thread>

namespace train_bytes {
namespace {

using namespace std::chrono_literals;

// Time to start a master after its peers, or to start it again.
constexpr auto master_patience = 30s;
constexpr auto master_retry_pause = 500ms;

// Peers do not die this often between two successes; whoever sees it is cut off and had better
// start over.
constexpr int most_losses_in_a_row = 100;

}  // namespace

Group::Group(const std::vector<ccoip_socket_address_t>& master_addresses,
             std::uint32_t peer_group) {
  pcclInit();
  const auto deadline = std::chrono::steady_clock::now() + master_patience;
  while (true) {
    for (const auto& address : master_addresses) {
      if (connect(address, peer_group)) return;
    }
    if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error("found no master");
    std::this_thread::sleep_for(master_retry_pause);
  }
}

Group::~Group() {
  pcclDestroyCommunicator(communicator_);
}

bool Group::connect(const ccoip_socket_address_t& master_address, std::uint32_t peer_group) {
  pcclCommCreateParams_t params{};
  params.master_address = master_address;
  params.peer_group = peer_group;
  if (pcclCreateCommunicator(&params, &communicator_) != pcclSuccess) return false;

  const pcclResult_t result = pcclConnect(communicator_);
  if (result == pcclSuccess) return true;
  const std::string why = describe("pcclConnect", result);
  pcclDestroyCommunicator(communicator_);
  communicator_ = nullptr;
  if (result != pcclMasterConnectionFailed) throw std::runtime_error(why);
  return false;
}

void Group::admit_newcomers() {
  bool pending = false;
  pcclResult_t result = pcclArePeersPending(communicator_, &pending);
  if (result != pcclSuccess) throw RemovedFromRun(describe("pcclArePeersPending", result));
  if (!pending) return;
  result = pcclUpdateTopology(communicator_);
  if (result != pcclSuccess) throw RemovedFromRun(describe("pcclUpdateTopology", result));
}

bool Group::all_reduce(void* values, std::size_t count, pcclDataType_t type, pcclRedOp_t op,
                       std::uint64_t tag) {
  pcclReduceDescriptor_t descriptor{};
  descriptor.count = count;
  descriptor.op = op;
  descriptor.tag = tag;
  descriptor.src_descriptor.datatype = type;

  const pcclResult_t result = pcclAllReduce(values, values, &descriptor, communicator_, nullptr);
  switch (result) {
    case pcclSuccess:
    case pcclTooFewPeers:  // sum, average and maximum over one peer: its own values
      losses_in_a_row_ = 0;
      return true;
    case pcclRankConnectionLost:
      if (++losses_in_a_row_ < most_losses_in_a_row) return false;
      [[fallthrough]];
    case pcclInvalidUsage:
      throw RemovedFromRun(describe("pcclAllReduce", result));
    default:
      throw std::runtime_error(describe("pcclAllReduce", result));
  }
}

bool Group::synchronize(std::uint64_t& revision, std::span<pcclTensorInfo_t> entries) {
  pcclSharedState_t state{revision, entries.size(), entries.data()};
  pcclSharedStateSyncInfo_t info{};
  const pcclResult_t result = pcclSynchronizeSharedState(
      communicator_, &state, PCCL_SHARED_STATE_SYNC_STRATEGY_ENFORCE_POPULAR, &info);
  if (result != pcclSuccess) throw RemovedFromRun(describe("pcclSynchronizeSharedState", result));
  revision = state.revision;
  return info.rx_bytes > 0;
}

int Group::world_size() const {
  int world_size = 0;
  const auto attribute = PCCL_ATTRIBUTE_PEER_GROUP_WORLD_SIZE;
  const pcclResult_t result = pcclGetAttribute(communicator_, attribute, &world_size);
  if (result != pcclSuccess) throw RemovedFromRun(describe("pcclGetAttribute", result));
  return world_size;
}

std::string Group::last_error() const {
  std::array<char, 512> text{};
  pcclGetLastError(communicator_, text.data(), text.size());
  return text.data();
}

std::string Group::describe(const char* call, pcclResult_t result) const {
  return std::string(call) + ": " + pcclGetErrorString(result) + " (" + last_error() + ")";
}

}  // namespace train_bytes
