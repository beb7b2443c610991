#include <atomic>
#include <optional>

#include "api/address.hpp"
#include "api/answer.hpp"
#include "base/environment.hpp"
#include "node/master_node.hpp"
#include "pccl.h"

using namespace pccl::api;
using pccl::Endpoint;
using pccl::Outcome;
using pccl::node::MasterNode;
using pccl::node::MasterOptions;

// A plain pointer, unlike pcclComm_t: pcclInterruptMaster may be called from a signal handler,
// which can take no lock and look nothing up.
struct pcclMasterInstanceState_t {
  explicit pcclMasterInstanceState_t(const MasterOptions& options) : node(options) {}

  MasterNode node;
  std::atomic<bool> launched{false};
};

pcclResult_t pcclCreateMaster(ccoip_socket_address_t listen_address,
                              pcclMasterInstance_t** master_handle_out) {
  if (master_handle_out == nullptr) return pcclInvalidArgument;
  return without_exceptions([&] {
           const std::optional<Endpoint> listen = endpoint_of(listen_address);
           if (!listen) return invalid_argument("listen_address.inet.protocol is unknown");
           MasterOptions options;
           options.listen = *listen;
           options.peer_timeout = pccl::peer_timeout_from_environment();
           options.accept_restored_state = pccl::accept_restored_state_from_environment();
           options.straggler_timeout = pccl::straggler_timeout_from_environment();
           options.remove_stragglers = pccl::remove_stragglers_from_environment();
           options.grace = pccl::master_grace_from_environment();
           options.state_file = pccl::state_file_from_environment();
           *master_handle_out = new pcclMasterInstanceState_t(options);
           return success();
         })
      .result;
}

pcclResult_t pcclRunMaster(pcclMasterInstance_t* master_instance) {
  if (master_instance == nullptr) return pcclInvalidArgument;
  return without_exceptions([&] {
           const Outcome outcome = master_instance->node.run();
           if (outcome.ok()) {
             master_instance->launched.store(true, std::memory_order_release);
           } else {
             pccl::log()->error("pcclRunMaster: {}", text_of(outcome));
           }
           return answer_of(master_result, outcome);
         })
      .result;
}

pcclResult_t pcclInterruptMaster(pcclMasterInstance_t* master_instance) {
  if (master_instance == nullptr) return pcclInvalidArgument;
  if (!master_instance->launched.load(std::memory_order_acquire)) return pcclInvalidUsage;
  master_instance->node.interrupt();
  return pcclSuccess;
}

pcclResult_t pcclMasterAwaitTermination(pcclMasterInstance_t* master_instance) {
  if (master_instance == nullptr) return pcclInvalidArgument;
  if (!master_instance->launched.load(std::memory_order_acquire)) return pcclInvalidUsage;
  return without_exceptions(
             [&] { return answer_of(master_result, master_instance->node.await_termination()); })
      .result;
}

pcclResult_t pcclDestroyMaster(pcclMasterInstance_t* master_instance) {
  if (master_instance == nullptr) return pcclInvalidArgument;
  return without_exceptions([&] {
           delete master_instance;
           return success();
         })
      .result;
}
