/* Contract 1.3: sizes and offsets on x86-64 (as on every LP64 system we know). Appended fields will change
 * sizes; then the size checked here becomes the offset of the first new field. */
#include <pccl.h>
#include <stddef.h>

#include "static_check.h"

STATIC_CHECK(sizeof(ccoip_ipv4_address_t) == 4);
STATIC_CHECK(offsetof(ccoip_ipv4_address_t, data) == 0);

STATIC_CHECK(sizeof(ccoip_ipv6_address_t) == 16);
STATIC_CHECK(offsetof(ccoip_ipv6_address_t, data) == 0);

STATIC_CHECK(sizeof(ccoip_inet_address_t) == 24);
STATIC_CHECK(offsetof(ccoip_inet_address_t, protocol) == 0);
STATIC_CHECK(offsetof(ccoip_inet_address_t, ipv4) == 4);
STATIC_CHECK(offsetof(ccoip_inet_address_t, ipv6) == 8);

STATIC_CHECK(sizeof(ccoip_socket_address_t) == 28);
STATIC_CHECK(offsetof(ccoip_socket_address_t, inet) == 0);
STATIC_CHECK(offsetof(ccoip_socket_address_t, port) == 24);

STATIC_CHECK(sizeof(pcclCommCreateParams_t) == 36);
STATIC_CHECK(offsetof(pcclCommCreateParams_t, master_address) == 0);
STATIC_CHECK(offsetof(pcclCommCreateParams_t, peer_group) == 28);
STATIC_CHECK(offsetof(pcclCommCreateParams_t, p2p_connection_pool_size) == 32);

STATIC_CHECK(sizeof(pcclReduceInfo_t) == 24);
STATIC_CHECK(offsetof(pcclReduceInfo_t, local_world_size) == 0);
STATIC_CHECK(offsetof(pcclReduceInfo_t, tx_bytes) == 8);
STATIC_CHECK(offsetof(pcclReduceInfo_t, rx_bytes) == 16);

STATIC_CHECK(sizeof(pcclReduceOperandDescriptor_t) == 8);
STATIC_CHECK(offsetof(pcclReduceOperandDescriptor_t, datatype) == 0);
STATIC_CHECK(offsetof(pcclReduceOperandDescriptor_t, distribution_hint) == 4);

STATIC_CHECK(sizeof(pcclQuantizationOptions_t) == 8);
STATIC_CHECK(offsetof(pcclQuantizationOptions_t, quantized_datatype) == 0);
STATIC_CHECK(offsetof(pcclQuantizationOptions_t, algorithm) == 4);

STATIC_CHECK(sizeof(pcclReduceDescriptor_t) == 40);
STATIC_CHECK(offsetof(pcclReduceDescriptor_t, count) == 0);
STATIC_CHECK(offsetof(pcclReduceDescriptor_t, op) == 8);
STATIC_CHECK(offsetof(pcclReduceDescriptor_t, tag) == 16);
STATIC_CHECK(offsetof(pcclReduceDescriptor_t, src_descriptor) == 24);
STATIC_CHECK(offsetof(pcclReduceDescriptor_t, quantization_options) == 32);

STATIC_CHECK(sizeof(pcclReduceOpDescriptor_t) == 56);
STATIC_CHECK(offsetof(pcclReduceOpDescriptor_t, sendbuf) == 0);
STATIC_CHECK(offsetof(pcclReduceOpDescriptor_t, recvbuf) == 8);
STATIC_CHECK(offsetof(pcclReduceOpDescriptor_t, descriptor) == 16);

STATIC_CHECK(sizeof(pcclAsyncReduceOp_t) == 16);
STATIC_CHECK(offsetof(pcclAsyncReduceOp_t, comm) == 0);
STATIC_CHECK(offsetof(pcclAsyncReduceOp_t, tag) == 8);

STATIC_CHECK(sizeof(pcclRankUuid_t) == 16);
STATIC_CHECK(offsetof(pcclRankUuid_t, data) == 0);

STATIC_CHECK(sizeof(pcclTensorInfo_t) == 40);
STATIC_CHECK(offsetof(pcclTensorInfo_t, name) == 0);
STATIC_CHECK(offsetof(pcclTensorInfo_t, data) == 8);
STATIC_CHECK(offsetof(pcclTensorInfo_t, count) == 16);
STATIC_CHECK(offsetof(pcclTensorInfo_t, datatype) == 24);
STATIC_CHECK(offsetof(pcclTensorInfo_t, device_type) == 28);
STATIC_CHECK(offsetof(pcclTensorInfo_t, allow_content_inequality) == 32);

STATIC_CHECK(sizeof(pcclSharedState_t) == 24);
STATIC_CHECK(offsetof(pcclSharedState_t, revision) == 0);
STATIC_CHECK(offsetof(pcclSharedState_t, count) == 8);
STATIC_CHECK(offsetof(pcclSharedState_t, infos) == 16);

STATIC_CHECK(sizeof(pcclSharedStateSyncInfo_t) == 16);
STATIC_CHECK(offsetof(pcclSharedStateSyncInfo_t, tx_bytes) == 0);
STATIC_CHECK(offsetof(pcclSharedStateSyncInfo_t, rx_bytes) == 8);

STATIC_CHECK(sizeof(pcclBuildInfo_t) == 1);
STATIC_CHECK(offsetof(pcclBuildInfo_t, has_cuda_support) == 0);

/* The struct tag and the typedef differ in name, and are the same type. */
struct pcclReduceSingleDescriptor_t one_descriptor(void);
pcclReduceOpDescriptor_t one_descriptor(void);

/* Opaque types can be pointed at. */
extern pcclComm_t *a_communicator;
extern pcclRankInfo_t *a_rank;
extern pcclMasterInstance_t *a_master;
extern struct pcclMasterInstanceState_t *a_master;
