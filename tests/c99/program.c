/* A C program as users of v1.0.0 write them: C99 designated initialisers and an embedded master. */
#include <ccoip.h>
#include <pccl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(call)                                                                             \
  do {                                                                                          \
    const pcclResult_t result = (call);                                                         \
    if (result != pcclSuccess) {                                                                \
      fprintf(stderr, "line %d: %s: %s\n", __LINE__, #call, pcclGetErrorString(result));        \
      return EXIT_FAILURE;                                                                      \
    }                                                                                           \
  } while (0)

int main(void) {
  const pcclCommCreateParams_t params = {
      .master_address = {.inet = {.protocol = inetIPv4, .ipv4 = {.data = {127, 0, 0, 1}}},
                         .port = CCOIP_PROTOCOL_PORT_MASTER},
      .peer_group = 0,
      .p2p_connection_pool_size = 4};
  float values[4] = {1, 2, 3, 4};
  const pcclReduceDescriptor_t descriptor = {
      .count = 4,
      .op = pcclSum,
      .tag = 0,
      .src_descriptor = {.datatype = pcclFloat, .distribution_hint = pcclDistributionNone},
      .quantization_options = {.quantized_datatype = pcclFloat, .algorithm = pcclQuantNone}};
  pcclReduceOpDescriptor_t op = {.sendbuf = values, .recvbuf = values, .descriptor = descriptor};
  pcclBuildInfo_t build;
  pcclComm_t *comm = NULL;
  pcclAsyncReduceOp_t handle;
  char text[64];

  CHECK(pcclInit());
  CHECK(pcclGetBuildInfo(&build));
  CHECK(pcclCreateCommunicator(&params, &comm));
  /* Not connected: refused, with the words why. */
  if (pcclAllReduceAsync(values, values, &descriptor, comm, &handle) != pcclInvalidUsage) return EXIT_FAILURE;
  if (pcclAllReduceMultipleWithRetry(&op, 1, comm, NULL, 1) != pcclInvalidUsage) return EXIT_FAILURE;
  CHECK(pcclGetLastError(comm, text, sizeof text));
  if (strstr(text, "not connected") == NULL) return EXIT_FAILURE;
  CHECK(pcclDestroyCommunicator(comm));
  return EXIT_SUCCESS;
}
