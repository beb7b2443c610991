/* Contract 1.1 and 1.2: names and numeric values. (Device types and sync strategies come with shared state.) */
#include <ccoip.h>
#include <pccl.h>

#include "static_check.h"

STATIC_CHECK(pcclSuccess == 0);
STATIC_CHECK(pcclNotInitialized == 1);
STATIC_CHECK(pcclInternalError == 2);
STATIC_CHECK(pcclInvalidArgument == 3);
STATIC_CHECK(pcclInvalidUsage == 4);
STATIC_CHECK(pcclTooFewPeers == 5);
STATIC_CHECK(pcclMasterConnectionFailed == 6);
STATIC_CHECK(pcclRankConnectionFailed == 7);
STATIC_CHECK(pcclRankConnectionLost == 8);
STATIC_CHECK(pcclNoSharedStateAvailable == 9);
STATIC_CHECK(pcclPendingAsyncOps == 10);
STATIC_CHECK(pcclUpdateTopologyFailed == 11);
STATIC_CHECK(pcclTopologyOptimizationFailed == 12);

STATIC_CHECK(pcclUint8 == 0);
STATIC_CHECK(pcclInt8 == 1);
STATIC_CHECK(pcclInt16 == 2);
STATIC_CHECK(pcclUint16 == 3);
STATIC_CHECK(pcclUint32 == 4);
STATIC_CHECK(pcclInt32 == 5);
STATIC_CHECK(pcclUint64 == 6);
STATIC_CHECK(pcclInt64 == 7);
STATIC_CHECK(pcclFloat16 == 8);
STATIC_CHECK(pcclBFloat16 == 9);
STATIC_CHECK(pcclFloat == 10);
STATIC_CHECK(pcclDouble == 11);

STATIC_CHECK(pcclSum == 0);
STATIC_CHECK(pcclAvg == 1);
STATIC_CHECK(pcclProd == 2);
STATIC_CHECK(pcclMax == 3);
STATIC_CHECK(pcclMin == 4);

STATIC_CHECK(PCCL_ATTRIBUTE_GLOBAL_WORLD_SIZE == 1);
STATIC_CHECK(PCCL_ATTRIBUTE_PEER_GROUP_WORLD_SIZE == 2);
STATIC_CHECK(PCCL_ATTRIBUTE_NUM_DISTINCT_PEER_GROUPS == 3);
STATIC_CHECK(PCCL_ATTRIBUTE_LARGEST_PEER_GROUP_WORLD_SIZE == 4);

STATIC_CHECK(pcclDistributionNone == 0);
STATIC_CHECK(pcclDistributionNormal == 1);
STATIC_CHECK(pcclDistributionUniform == 2);

STATIC_CHECK(pcclQuantNone == 0);
STATIC_CHECK(pcclQuantMinMax == 1);
STATIC_CHECK(pcclQuantZeroPointScale == 2);

STATIC_CHECK(pcclDeviceCpu == 0);
STATIC_CHECK(pcclDeviceCuda == 1);

STATIC_CHECK(PCCL_SHARED_STATE_SYNC_STRATEGY_ENFORCE_POPULAR == 0);
STATIC_CHECK(PCCL_SHARED_STATE_SYNC_STRATEGY_RECEIVE_ONLY == 1);
STATIC_CHECK(PCCL_SHARED_STATE_SYNC_STRATEGY_SEND_ONLY == 2);

STATIC_CHECK(inetIPv4 == 0);
STATIC_CHECK(inetIPv6 == 1);

STATIC_CHECK(CCOIP_PROTOCOL_PORT_MASTER == 48148);
STATIC_CHECK(CCOIP_PROTOCOL_PORT_SHARED_STATE == 48149);
STATIC_CHECK(CCOIP_PROTOCOL_PORT_P2P == 48150);
STATIC_CHECK(CCOIP_PROTOCOL_PORT_BANDWIDTH_BENCHMARK == 48151);

/* PCCL_NULLABLE vanishes; PCCL_EXPORT stands before a declaration. */
typedef int *PCCL_NULLABLE nullable_pointer;
PCCL_EXPORT int exported_for_the_test(nullable_pointer pointer);
int exported_for_the_test(nullable_pointer pointer) { return pointer == NULL; }
