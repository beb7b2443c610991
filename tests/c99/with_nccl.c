/* nccl.h declares its communicator as this, before pccl.h or after it. */
typedef struct ncclComm *ncclComm_t;
#include <pccl.h>
typedef struct ncclComm *ncclComm_t_again;

pcclResult_t attach(pcclComm_t *comm, ncclComm_t local, ncclComm_t_again same, void *stream);
pcclResult_t attach(pcclComm_t *comm, ncclComm_t local, ncclComm_t_again same, void *stream) {
  return pcclCommAttachLocal(comm, local == same ? local : NULL, stream);
}
