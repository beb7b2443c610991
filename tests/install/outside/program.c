/* A run of one peer with an embedded master, in C99: program <free port> */
#include <ccoip.h>
#include <pccl.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(call)                                                                      \
  do {                                                                                   \
    const pcclResult_t result = (call);                                                  \
    if (result != pcclSuccess) {                                                         \
      fprintf(stderr, "line %d: %s: %s\n", __LINE__, #call, pcclGetErrorString(result)); \
      return EXIT_FAILURE;                                                               \
    }                                                                                    \
  } while (0)

int main(int argc, char **argv) {
  const ccoip_socket_address_t address = {.inet = {.protocol = inetIPv4, .ipv4 = {.data = {127, 0, 0, 1}}},
                                          .port = (uint16_t)(argc > 1 ? atoi(argv[1]) : CCOIP_PROTOCOL_PORT_MASTER)};
  const pcclCommCreateParams_t params = {.master_address = address};
  pcclBuildInfo_t build;
  pcclMasterInstance_t *master = NULL;
  pcclComm_t *comm = NULL;
  int world = 0;

  CHECK(pcclInit());
  CHECK(pcclGetBuildInfo(&build));
  CHECK(pcclCreateMaster(address, &master));
  CHECK(pcclRunMaster(master));
  CHECK(pcclCreateCommunicator(&params, &comm));
  CHECK(pcclConnect(comm));
  CHECK(pcclUpdateTopology(comm));
  CHECK(pcclGetAttribute(comm, PCCL_ATTRIBUTE_GLOBAL_WORLD_SIZE, &world));
  CHECK(pcclDestroyCommunicator(comm));
  CHECK(pcclInterruptMaster(master));
  CHECK(pcclMasterAwaitTermination(master));
  CHECK(pcclDestroyMaster(master));
  printf("pccl %s, world %d\n", pcclGetVersion(), world);
  return world == 1 ? EXIT_SUCCESS : EXIT_FAILURE;
}
