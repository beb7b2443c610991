#include "api/communicator.hpp"

#include <algorithm>
#include <climits>

#include "api/address.hpp"
#include "api/enums.hpp"
#include "api/living.hpp"
#include "base/environment.hpp"
#include "base/limits.hpp"

using pccl::Outcome;
using pccl::Status;
using pccl::api::Answer;
using pccl::api::FeedbackLease;
using pccl::node::PeerNode;
using pccl::node::PeerOptions;

namespace pccl::api {

using LivingCommunicators = Living<pcclComm_t>;

Entered::Entered(const pcclComm_t* handle)
    : communicator_(LivingCommunicators::all().find(handle)) {
  if (communicator_ != nullptr && !communicator_->enter()) communicator_ = nullptr;
}

Entered::~Entered() {
  if (communicator_ != nullptr) communicator_->leave();
}

void remember_failure(pcclComm_t& communicator, const char* call, const Answer& answer) noexcept {
  try {
    communicator.remember(call,
                          answer.why.empty() ? pcclGetErrorString(answer.result) : answer.why);
  } catch (...) {  // NOLINT(bugprone-empty-catch): no memory for the words; the code still tells
  }
}

}  // namespace pccl::api

// ---- Life ----

bool pcclComm_t::enter() {
  const std::scoped_lock lock(mutex_);
  if (closing_) return false;
  ++calls_inside_;
  return true;
}

void pcclComm_t::leave() {
  const std::scoped_lock lock(mutex_);
  if (--calls_inside_ == 0) left_.notify_all();
}

void pcclComm_t::close() {
  std::shared_ptr<PeerNode> node;
  std::unique_lock lock(mutex_);
  closing_ =
      true;  // from here on nobody enters, and a connect that has not begun to dial will not begin
  if (node_ != nullptr) node_->interrupt();  // the calls inside it end
  left_.wait(lock, [this] { return calls_inside_ == 0; });
  node = std::move(node_);
  lock.unlock();  // and the node, now without callers, leaves the run in its destructor
}

// ---- Connecting ----

Answer pcclComm_t::connect() {
  if (Answer refused = begin_connect(); !refused.ok()) return refused;
  Outcome outcome;
  try {
    outcome = run_connect();
  } catch (...) {
    end_connect(false);
    throw;
  }
  end_connect(outcome.ok());
  return pccl::api::answer_of(pccl::api::connect_result, outcome);
}

Answer pcclComm_t::begin_connect() {
  const std::scoped_lock lock(mutex_);
  if (state_ == State::connecting)
    return pccl::api::invalid_usage("another thread is connecting it");
  if (state_ == State::accepted) {
    return pccl::api::invalid_usage(
        node_->connected() ? "already connected"
                           : "no longer in the run: destroy this communicator and make a new one");
  }
  state_ = State::connecting;
  return pccl::api::success();
}

Answer pcclComm_t::set_cohort(pccl::Cohort cohort) {
  const std::scoped_lock lock(mutex_);
  if (state_ != State::idle)
    return pccl::api::invalid_usage("a peer names its cohort before it connects");
  cohort_ = cohort;
  return pccl::api::success();
}

Outcome pcclComm_t::run_connect() {
  PeerOptions options;
  options.master = master_;
  options.peer_group = params_.peer_group;
  options.cohort = cohort_;  // nobody changes it while connecting
  options.lanes = params_.p2p_connection_pool_size;
  options.peer_timeout = pccl::peer_timeout_from_environment();
  options.master_timeout = pccl::master_timeout_from_environment();
  options.shared_memory = pccl::shared_memory_from_environment();
  options.algorithm = pccl::algorithm_from_environment();
  options.connect_timeout = pccl::connect_timeout_from_environment();
  const auto node = std::make_shared<PeerNode>(options);
  {
    const std::scoped_lock lock(mutex_);
    if (closing_) return {Status::interrupted, "the communicator is being destroyed"};
    node_ = node;
  }
  return node->connect();
}

void pcclComm_t::end_connect(bool accepted) {
  std::shared_ptr<PeerNode> failed;  // dies outside the lock
  const std::scoped_lock lock(mutex_);
  state_ = accepted ? State::accepted : State::idle;
  if (!accepted) failed.swap(node_);
}

std::shared_ptr<PeerNode> pcclComm_t::accepted_node() const {
  const std::scoped_lock lock(mutex_);
  return state_ == State::accepted ? node_ : nullptr;
}

// ---- Residuals of ops in flight ----

void pcclComm_t::launched(std::uint64_t tag, FeedbackLease lease) {
  const std::scoped_lock lock(mutex_);
  in_flight_[tag] = std::move(lease);
}

FeedbackLease pcclComm_t::awaits(std::uint64_t tag) {
  const std::scoped_lock lock(mutex_);
  auto node = in_flight_.extract(tag);
  return node.empty() ? FeedbackLease() : std::move(node.mapped());
}

bool pcclComm_t::any_in_flight() const {
  const std::scoped_lock lock(mutex_);
  return !in_flight_.empty();
}

// ---- The ranks of this host ----

std::shared_ptr<pccl::hierarchical::AllReduce> pcclComm_t::local() const {
  const std::scoped_lock lock(mutex_);
  return local_;
}

void pcclComm_t::attach(std::shared_ptr<pccl::hierarchical::AllReduce> local) {
  const std::scoped_lock lock(mutex_);
  local_.swap(local);
}

// ---- The last failure ----

void pcclComm_t::remember(std::string_view call, std::string_view why) {
  std::string text = std::string(call).append(": ").append(why);
  pccl::log()->debug("{}", text);
  const std::scoped_lock lock(mutex_);
  last_error_.swap(text);
}

std::string pcclComm_t::last_error() const {
  const std::scoped_lock lock(mutex_);
  return last_error_;
}

// ---- The C functions ----

using namespace pccl::api;

pcclResult_t pcclCreateCommunicator(const pcclCommCreateParams_t* params, pcclComm_t** comm_out) {
  if (!initialized()) return pcclNotInitialized;
  if (params == nullptr || comm_out == nullptr) return pcclInvalidArgument;
  return without_exceptions([&] {
           const std::optional<pccl::Endpoint> master = endpoint_of(params->master_address);
           if (!master) return invalid_argument("master_address.inet.protocol is unknown");
           *comm_out =
               LivingCommunicators::all().add(std::make_shared<pcclComm_t>(*master, *params));
           return success();
         })
      .result;
}

pcclResult_t pcclDestroyCommunicator(pcclComm_t* comm) {
  if (!initialized()) return pcclNotInitialized;
  return without_exceptions([&] {
           const std::shared_ptr<pcclComm_t> communicator =
               LivingCommunicators::all().take_out(comm);
           if (communicator == nullptr) return invalid_argument("not a communicator");
           communicator->close();
           return success();
         })
      .result;
}

pcclResult_t pcclConnect(pcclComm_t* comm) {
  return with_communicator("pcclConnect", comm,
                           [](pcclComm_t& communicator) { return communicator.connect(); });
}

pcclResult_t pcclSetCohort(pcclComm_t* comm, std::uint64_t cohort, std::uint32_t size) {
  return with_communicator("pcclSetCohort", comm, [&](pcclComm_t& communicator) {
    if (size < 1 || size > pccl::limits::peers)
      return invalid_argument("a cohort of " + std::to_string(size) + " peers");
    return communicator.set_cohort({cohort, size});
  });
}

pcclResult_t pcclSetStream(const pcclComm_t* communicator, void* stream) {
  return with_communicator("pcclSetStream", communicator, [&](pcclComm_t& entered) {
    entered.set_stream(static_cast<pccl::device::Stream>(stream));
    return success();
  });
}

pcclResult_t pcclGetLastError(const pcclComm_t* comm, char* buf, size_t len) {
  if (!initialized()) return pcclNotInitialized;
  if (buf == nullptr || len == 0) return pcclInvalidArgument;
  return without_exceptions([&] {
           const Entered entered(comm);
           if (!entered) return invalid_argument("not a communicator");
           const std::string text = (*entered).last_error();
           const std::size_t copied = std::min(text.size(), len - 1);
           std::copy_n(text.data(), copied, buf);
           buf[copied] = '\0';
           return success();
         })
      .result;
}

pcclResult_t pcclGetAttribute(const pcclComm_t* comm, pcclAttribute_t attribute, int* out) {
  return with_communicator("pcclGetAttribute", comm, [&](pcclComm_t& communicator) {
    const unsigned wanted = raw(attribute);
    if (out == nullptr) return invalid_argument("attribute_out is NULL");
    if (wanted < PCCL_ATTRIBUTE_GLOBAL_WORLD_SIZE || wanted > raw(PCCL_ATTRIBUTE_PAIRWISE_BYTES))
      return invalid_argument("unknown attribute " + std::to_string(wanted));
    const std::shared_ptr<PeerNode> peer = communicator.accepted_node();
    if (peer == nullptr) return invalid_usage("not connected");
    const pccl::node::Attributes seen = peer->attributes();
    switch (wanted) {
      case PCCL_ATTRIBUTE_GLOBAL_WORLD_SIZE:
        *out = static_cast<int>(seen.global_world_size);
        break;
      case PCCL_ATTRIBUTE_PEER_GROUP_WORLD_SIZE:
        *out = static_cast<int>(seen.group_world_size);
        break;
      case PCCL_ATTRIBUTE_NUM_DISTINCT_PEER_GROUPS:
        *out = static_cast<int>(seen.distinct_groups);
        break;
      case PCCL_ATTRIBUTE_LARGEST_PEER_GROUP_WORLD_SIZE:
        *out = static_cast<int>(seen.largest_group_world_size);
        break;
      case PCCL_ATTRIBUTE_STAR_BYTES:
        *out = static_cast<int>(seen.star_bytes);
        break;
      default:
        *out = static_cast<int>(std::min<std::size_t>(seen.pairwise_bytes, INT_MAX));
        break;
    }
    return success();
  });
}

pcclResult_t pcclUpdateTopology(pcclComm_t* comm) {
  return with_peer("pcclUpdateTopology", comm, [](PeerNode& peer) {
    return answer_of(update_topology_result, peer.update_topology());
  });
}

pcclResult_t pcclOptimizeTopology(const pcclComm_t* comm) {
  return with_peer("pcclOptimizeTopology", comm, [](PeerNode& peer) {
    return answer_of(optimize_topology_result, peer.optimize_topology());
  });
}

pcclResult_t pcclArePeersPending(const pcclComm_t* comm, bool* pending_out) {
  return with_communicator("pcclArePeersPending", comm, [&](pcclComm_t& communicator) {
    if (pending_out == nullptr) return invalid_argument("pending_out is NULL");
    const std::shared_ptr<PeerNode> peer = communicator.accepted_node();
    if (peer == nullptr) return invalid_usage("not connected");
    bool pending = false;
    const Outcome outcome = peer->are_peers_pending(pending);
    if (outcome.ok()) *pending_out = pending;
    return answer_of(are_peers_pending_result, outcome);
  });
}
