// ccoip_master: what programs written for PCCL 1.0 start. No arguments, always 0.0.0.0:48148;
// pccl-master has the options.
#include <ccoip.h>
#include <pccl.h>

#include <cstdio>
#include <cstdlib>

#include "termination.hpp"

int main() {
  const pccl_tools::Termination termination;
  ccoip_socket_address_t any{};  // 0.0.0.0
  any.port = CCOIP_PROTOCOL_PORT_MASTER;
  pcclMasterInstance_t* master = nullptr;
  if (pcclCreateMaster(any, &master) != pcclSuccess || pcclRunMaster(master) != pcclSuccess) {
    std::fprintf(stderr, "ccoip_master: cannot listen on 0.0.0.0:%d\n", CCOIP_PROTOCOL_PORT_MASTER);
    return EXIT_FAILURE;
  }
  termination.wait();
  std::puts("Interrupting master node...");
  std::fflush(stdout);
  pcclInterruptMaster(master);
  pcclMasterAwaitTermination(master);
  pcclDestroyMaster(master);
  std::puts("Master node terminated.");
  return EXIT_SUCCESS;
}
