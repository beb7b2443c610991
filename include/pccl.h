/* PCCL: collective communication among peers that may join, leave and die at any moment.
 *
 * Conventions
 *   Result    Every function returns a pcclResult_t. pcclGetLastError() names the peer and the reason.
 *   Init      Call pcclInit() first. Functions other than pcclInit, pcclGetBuildInfo, the pcclMaster
 *             family and the pure text functions return pcclNotInitialized before that.
 *   Threads   All calls on one communicator come from the thread that connected it, with two exceptions:
 *             one other thread at a time may launch and await all-reduces while the main thread calls
 *             only pcclArePeersPending and pcclGetAttribute; and pcclGetAttribute, pcclGetLastError may
 *             be called from any thread. Several communicators and a master may live in one process.
 *   Blocking  A blocking call waits for living peers without limit and for dead, frozen or unreachable
 *             ones no longer than the peer timeout (PCCL_PEER_TIMEOUT, 3 s).
 *   Agreement A collective has one outcome on all members of the group: it succeeds with the same bits
 *             everywhere, or it fails everywhere and every in-place buffer holds its input again.
 *   Buffers   Buffers belong to the caller and stay valid and unchanged until the call, or the await of
 *             the handle, returns.
 *   Structs   Zero-initialise what you do not name: fields may be appended, 0 means "default".
 *   fork      A child process of a peer may use nothing of the library; it holds no socket of its parent.
 *             Create communicators after the fork.
 */
#ifndef PCCL_H
#define PCCL_H

#ifdef __cplusplus
#include <cstddef>
#else
#include <stdbool.h>
#include <stddef.h>
#endif

#include "ccoip_inet.h"

#if defined(_WIN32)
#define PCCL_EXPORT __declspec(dllexport)
#else
#define PCCL_EXPORT __attribute__((visibility("default")))
#endif

/* Marks a pointer parameter that may be NULL. */
#define PCCL_NULLABLE

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Results ------------------------------------------------------------------------------------ */

typedef enum pcclResult_t {
  pcclSuccess = 0,
  pcclNotInitialized = 1,
  pcclInternalError = 2,
  pcclInvalidArgument = 3,
  pcclInvalidUsage = 4,
  pcclTooFewPeers = 5,
  pcclMasterConnectionFailed = 6,
  pcclRankConnectionFailed = 7,
  pcclRankConnectionLost = 8,
  pcclNoSharedStateAvailable = 9,
  pcclPendingAsyncOps = 10,
  pcclUpdateTopologyFailed = 11,
  pcclTopologyOptimizationFailed = 12
} pcclResult_t;

/* ---- Types -------------------------------------------------------------------------------------- */

typedef struct pcclComm_t pcclComm_t;

typedef enum pcclDataType_t {
  pcclUint8 = 0,
  pcclInt8 = 1,
  pcclInt16 = 2,
  pcclUint16 = 3,
  pcclUint32 = 4,
  pcclInt32 = 5,
  pcclUint64 = 6,
  pcclInt64 = 7,
  pcclFloat16 = 8,
  pcclBFloat16 = 9,
  pcclFloat = 10,
  pcclDouble = 11
} pcclDataType_t;

/* Codes of quantized elements that are no types of elements: for pcclQuantizationOptions_t only. They are
 * not among the enumerators above, so that a switch over the types of elements is complete without them. */
#define pcclUint4 ((pcclDataType_t)12)      /* two to a byte */
#define pcclUint2 ((pcclDataType_t)13)      /* four to a byte */
#define pcclFloat8E4M3 ((pcclDataType_t)14) /* OCP FP8: sign, 4 bits of exponent, 3 of fraction */
#define pcclFloat8E5M2 ((pcclDataType_t)15) /* OCP FP8: sign, 5 bits of exponent, 2 of fraction */
#define pcclFloat4E3M0 pcclUint4            /* with pcclQuantScale: sign and a power of two */

/* pcclAvg divides the sum by the world size; integers truncate towards zero. Integer sums wrap.
 * pcclMax and pcclMin of floating-point values are NaN when any input is NaN. */
typedef enum pcclRedOp_t {
  pcclSum = 0,
  pcclAvg = 1,
  pcclProd = 2,
  pcclMax = 3,
  pcclMin = 4
} pcclRedOp_t;

typedef enum pcclAttribute_t {
  PCCL_ATTRIBUTE_GLOBAL_WORLD_SIZE = 1,          /* accepted peers of all groups, self included */
  PCCL_ATTRIBUTE_PEER_GROUP_WORLD_SIZE = 2,      /* accepted peers of the own group */
  PCCL_ATTRIBUTE_NUM_DISTINCT_PEER_GROUPS = 3,   /* groups with at least one accepted peer */
  PCCL_ATTRIBUTE_LARGEST_PEER_GROUP_WORLD_SIZE = 4
} pcclAttribute_t;
/* Bytes of the largest all-reduce that now goes through the master in one round trip ("star"). Larger ones pass
 * from neighbour to neighbour ("ring"), or between two members directly (below). Follows from the group's size and
 * its measured distances; 0: alone. */
#define PCCL_ATTRIBUTE_STAR_BYTES ((pcclAttribute_t)5)
/* Bytes of the largest all-reduce in which the two members of a group exchange all that they have in one step
 * ("pairwise"), unless it is quantized; larger ones take the ring. INT_MAX: so many or more. 0: a larger group,
 * alone, or not wished (PCCL_ALGORITHM). */
#define PCCL_ATTRIBUTE_PAIRWISE_BYTES ((pcclAttribute_t)6)

/* Accepted for compatibility; has no effect. */
typedef enum pcclDistributionHint_t {
  pcclDistributionNone = 0,
  pcclDistributionNormal = 1,
  pcclDistributionUniform = 2
} pcclDistributionHint_t;

/* How elements travel in a quantized all-reduce: as codes, with the range of every 1024 elements beside
 * them. On each hop the sum is formed in full precision (float32; float64 for pcclDouble) and encoded anew.
 *   pcclQuantMinMax          levels evenly from the lowest to the highest element of a block; unsigned
 *                            integers of 2 to 64 bits, all operations
 *   pcclQuantZeroPointScale  the same, moved so that 0 is a level; integers of 2 to 64 bits, signed too;
 *                            pcclSum and pcclAvg
 *   pcclQuantScale           float codes times one factor per block, all operations
 * An element's error per hop is at most half a level of its block (float codes: of its power of two) and its
 * rounding; nothing is clipped. A block with a NaN or an infinity becomes NaN as a whole. */
typedef enum pcclQuantizationAlgorithm_t {
  pcclQuantNone = 0,
  pcclQuantMinMax = 1,
  pcclQuantZeroPointScale = 2
} pcclQuantizationAlgorithm_t;
#define pcclQuantScale ((pcclQuantizationAlgorithm_t)3) /* no enumerator, as the codes that it is for */

typedef enum pcclDeviceType_t {
  pcclDeviceCpu = 0,
  pcclDeviceCuda = 1
} pcclDeviceType_t;

/* Who may change whose shared state in one pcclSynchronizeSharedState. ENFORCE_POPULAR does not mix with
 * the other two, which are made for each other: those who hold the state send, a late joiner receives. */
typedef enum pcclSharedStateSyncStrategy_t {
  PCCL_SHARED_STATE_SYNC_STRATEGY_ENFORCE_POPULAR = 0, /* take what most peers with the best revision hold */
  PCCL_SHARED_STATE_SYNC_STRATEGY_RECEIVE_ONLY = 1,    /* take what the others hold; my content has no vote */
  PCCL_SHARED_STATE_SYNC_STRATEGY_SEND_ONLY = 2        /* mine has to win; else this peer is removed */
} pcclSharedStateSyncStrategy_t;

typedef struct pcclCommCreateParams_t {
  ccoip_socket_address_t master_address;
  uint32_t peer_group;
  uint32_t p2p_connection_pool_size; /* TCP connections to each ring neighbour; 0: chosen by the library */
} pcclCommCreateParams_t;

typedef struct pcclReduceInfo_t {
  uint32_t local_world_size; /* group world size at launch */
  uint64_t tx_bytes;         /* payload bytes this peer sent for the op, framing not counted */
  uint64_t rx_bytes;
} pcclReduceInfo_t;

typedef struct pcclReduceOperandDescriptor_t {
  pcclDataType_t datatype;
  pcclDistributionHint_t distribution_hint;
} pcclReduceOperandDescriptor_t;

typedef struct pcclQuantizationOptions_t {
  pcclDataType_t quantized_datatype; /* ignored with pcclQuantNone */
  pcclQuantizationAlgorithm_t algorithm;
} pcclQuantizationOptions_t;

typedef struct pcclReduceDescriptor_t {
  size_t count; /* elements; 0 is a valid, synchronising no-op */
  pcclRedOp_t op;
  uint64_t tag; /* names the op among those in flight; the same on every peer of the group */
  pcclReduceOperandDescriptor_t src_descriptor;
  pcclQuantizationOptions_t quantization_options;
} pcclReduceDescriptor_t;

typedef struct pcclReduceSingleDescriptor_t {
  void *sendbuf;
  void *recvbuf;
  pcclReduceDescriptor_t descriptor;
} pcclReduceOpDescriptor_t;

/* A plain value: copy it freely, await it exactly once. */
typedef struct pcclAsyncReduceOp_t {
  pcclComm_t *comm;
  uint64_t tag;
} pcclAsyncReduceOp_t;

/* One entry of the shared state: `count` elements at `data`, any alignment. `name` tells entries apart and
 * is at most 1000 bytes long. With pcclDeviceCuda `data` is memory of a GPU (builds with CUDA); managed memory
 * may be either. Peers may keep the same entry in different places. */
typedef struct pcclTensorInfo_t {
  const char *name;
  void *data; /* may be NULL when count is 0 */
  size_t count;
  pcclDataType_t datatype;
  pcclDeviceType_t device_type;
  bool allow_content_inequality; /* neither compared nor sent: each peer keeps its own, a newcomer too */
} pcclTensorInfo_t;

typedef struct pcclSharedState_t {
  uint64_t revision; /* the application's step counter: add one before each sync but the first */
  size_t count;      /* entries of infos */
  pcclTensorInfo_t *infos;
} pcclSharedState_t;

typedef struct pcclSharedStateSyncInfo_t {
  uint64_t tx_bytes; /* content this peer sent to others, framing not counted */
  uint64_t rx_bytes; /* content it received; 0 when it had the elected content already */
} pcclSharedStateSyncInfo_t;

typedef struct pcclRankUuid_t {
  uint8_t data[16];
} pcclRankUuid_t;
typedef struct pcclRankInfo_t pcclRankInfo_t;

typedef struct pcclMasterInstanceState_t pcclMasterInstance_t;

typedef struct pcclBuildInfo_t {
  bool has_cuda_support;
} pcclBuildInfo_t;

/* ---- Library ------------------------------------------------------------------------------------ */

/* Prepares the library. Idempotent, thread-safe, never fails. */
PCCL_EXPORT pcclResult_t pcclInit(void);

/* Whether the application wants out of a call that blocks: Ctrl-C has been pressed, say. */
typedef bool (*pcclInterruptCheck_t)(void);

/* Has each thread that blocks in a call ask `check` about every 100 ms; NULL: nobody asks, the default. One for
 * the process, for all communicators and masters. Once `check` has answered true the peer leaves the run, the
 * call fails with the code of a lost run, and so do all others on this communicator; in-place buffers hold
 * their input again, the other peers go on. pcclMasterAwaitTermination gives pcclInvalidUsage, and the master
 * goes on. Made for bindings of languages that handle signals between two instructions. Needs no pcclInit.
 *   threads  `check` is called on the thread that waits, which holds no lock of the library; any thread may
 *            set it, before calls that are to ask it begin. */
PCCL_EXPORT pcclResult_t pcclSetInterruptCheck(pcclInterruptCheck_t check PCCL_NULLABLE);

/* What this build can do. Needs no pcclInit.  errors: pcclInvalidArgument (NULL). */
PCCL_EXPORT pcclResult_t pcclGetBuildInfo(pcclBuildInfo_t *info);

/* The name and meaning of a result code, in English. Never NULL, static storage; needs no pcclInit. */
PCCL_EXPORT const char *pcclGetErrorString(pcclResult_t result);

/* "major.minor.patch", static storage; needs no pcclInit. */
PCCL_EXPORT const char *pcclGetVersion(void);

/* Copies the text of the last failure on `comm` into buf: which call, which peer, what happened. The text
 * is cut to len - 1 bytes and always terminated; it is empty when nothing has failed. Any thread.
 *   errors   pcclInvalidArgument: NULL, or len 0. */
PCCL_EXPORT pcclResult_t pcclGetLastError(const pcclComm_t *comm, char *buf, size_t len);

/* ---- Communicator ------------------------------------------------------------------------------- */

/* Makes an unconnected communicator. Copies params; no I/O.
 *   errors   pcclInvalidArgument: NULL. */
PCCL_EXPORT pcclResult_t pcclCreateCommunicator(const pcclCommCreateParams_t *params, pcclComm_t **comm_out);

/* Names the cohort of this peer: peers that are admitted to the run together, or not yet, in whatever groups
 * (the ranks of a sharded replica, say). A master lets nobody of them in before `size` peers that name the
 * same `cohort` are there, and does not count them as pending; those in the run count, so that another one may
 * come for a member that has left. When a member is lost (not when it leaves by pcclDestroyCommunicator; but
 * pcclSetInterruptCheck's answer and a GPU that fails do lose it), the others are removed as well: they may hang
 * in a call of another library, and the run would wait for them. Groups that hold different
 * shared states at their first sync, with no majority, all take that of the same cohort. A master that was
 * started again does not know the cohorts of the peers that come back to it. Call it before pcclConnect.
 *   cohort   the same at all its members and at nobody else: draw it at random for each start. 0: none.
 *   size     members, 1 to 4096.
 *   errors   pcclInvalidArgument: NULL, size out of range. pcclInvalidUsage: connecting or connected. */
PCCL_EXPORT pcclResult_t pcclSetCohort(pcclComm_t *communicator, uint64_t cohort, uint32_t size);

/* Reads an attribute as last refreshed by pcclConnect, pcclUpdateTopology, pcclOptimizeTopology,
 * pcclSynchronizeSharedState or the await of a failed all-reduce; a mere departure does not change it. Never
 * blocks. Any thread.
 *   errors   pcclInvalidArgument: NULL, unknown attribute. pcclInvalidUsage: not connected. */
PCCL_EXPORT pcclResult_t pcclGetAttribute(const pcclComm_t *comm, pcclAttribute_t attribute, int *out);

/* Leaves the run (the others go on without this peer) and frees everything; waits for running ops to
 * unwind. May be called while another thread is inside pcclConnect, which then returns.
 *   errors   pcclInvalidArgument: NULL. */
PCCL_EXPORT pcclResult_t pcclDestroyCommunicator(pcclComm_t *comm);

/* Registers with the master and blocks until the accepted peers admit this one, inside their
 * pcclUpdateTopology; the first peer of a run is admitted at once. On return the links to the ring
 * neighbours stand and the attributes count this peer. Do next what the others do after their
 * pcclUpdateTopology returned: a newcomer does not call pcclUpdateTopology in its first iteration.
 * PCCL_CONNECT_TIMEOUT (seconds, default 0 = none) bounds the wait for admission.
 *   errors   pcclInvalidArgument: NULL. pcclInvalidUsage: connected already, or removed from the run (make
 *            a new communicator). pcclMasterConnectionFailed: no master, refused, or no peer could reach
 *            this one; may be called again on the same communicator. */
PCCL_EXPORT pcclResult_t pcclConnect(pcclComm_t *comm);

/* Collective over all accepted peers of all groups: admits every pending peer and repairs the links.
 * Blocks until all have called. Alone it returns at once.
 *   errors   pcclInvalidArgument: NULL. pcclInvalidUsage: not connected, or every peer waits in calls
 *            that cannot match. pcclPendingAsyncOps: an async op has not been awaited.
 *            pcclUpdateTopologyFailed: removed from the run, or master lost. */
PCCL_EXPORT pcclResult_t pcclUpdateTopology(pcclComm_t *comm);

/* Collective over all accepted peers of all groups: is any registered peer waiting to be admitted? Same
 * answer everywhere. Blocks until all have asked. Allowed while all-reduces run.
 *   errors   pcclInvalidArgument: NULL. pcclInvalidUsage: not connected, removed from the run, master
 *            lost, or every peer waits in calls that cannot match. */
PCCL_EXPORT pcclResult_t pcclArePeersPending(const pcclComm_t *comm, bool *pending_out);

/* Collective over all accepted peers of all groups: measures bandwidth and round trip of every directed path
 * between the members of each group, and gives each group the ring whose slowest link is the fastest, among
 * such rings (5 % count as equal) the one with the smallest sum of round trips: exactly up to 12 members, by a
 * good search beyond. All adopt it at once; newcomers are not admitted. Blocks until all have called. A path
 * that cannot be opened is avoided; the call succeeds all the same.
 *   cost     a second or two for each other member of the group: everybody sends to one and receives from
 *            one at a time, for about a second, at full speed. What has been measured is kept as long as both
 *            peers stay in the run: a second call only measures the paths of newcomers, and paths that could
 *            not be measured. 64 such rounds at most in one call; groups of more than 512 keep their ring.
 *   errors   pcclInvalidArgument: NULL. pcclInvalidUsage: not connected, no other peer in the run, or every
 *            peer waits in calls that cannot match. pcclPendingAsyncOps: an async op has not been awaited.
 *            pcclTopologyOptimizationFailed: removed from the run, or master lost. */
PCCL_EXPORT pcclResult_t pcclOptimizeTopology(const pcclComm_t *comm);

/* ---- All-reduce --------------------------------------------------------------------------------- */

/* Reduces `count` elements across all peers of the group; every peer receives the same bits.
 *   sendbuff [count] of src_descriptor.datatype, read only.  recvbuff [count]; may equal sendbuff (in
 *            place). Other overlap is undefined. Any alignment that suits the element type.
 *   cost     2(n-1)/n * count * sizeof(datatype) bytes sent per peer (ring: Patarasu & Yuan, JPDC 2009);
 *            quantized: the size of a code instead, and 8 bytes per 1024 elements (pcclDouble: 16);
 *            a few KiB or less go through the master in one round trip, never quantized.
 *   errors   pcclRankConnectionLost: a peer was lost, or the membership is newer than the one this caller
 *            has seen; attributes are refreshed, an in-place buffer holds its input again (a separate
 *            recvbuff is unspecified): call again. pcclTooFewPeers: alone in the group.
 *            pcclInvalidArgument: NULL buffer with count > 0, unknown enum value, quantization that does
 *            not fit the types or the operation, tag in flight, or the peers' descriptors differ.
 *            pcclInvalidUsage: not connected. */
PCCL_EXPORT pcclResult_t pcclAllReduce(const void *sendbuff, void *recvbuff, const pcclReduceDescriptor_t *descriptor,
                                       const pcclComm_t *communicator,
                                       pcclReduceInfo_t *reduce_info_out PCCL_NULLABLE);

/* Launches an all-reduce and returns at once. At most 1024 ops may be in flight on a communicator; one more
 * gives pcclInvalidUsage. Launch order may differ between peers. Errors as above, of the arguments only. */
PCCL_EXPORT pcclResult_t pcclAllReduceAsync(const void *sendbuff, void *recvbuff,
                                            const pcclReduceDescriptor_t *descriptor,
                                            const pcclComm_t *communicator,
                                            pcclAsyncReduceOp_t *reduce_handle_out);

/* Waits for the outcome. Exactly once per handle.
 *   errors   as pcclAllReduce; an unknown handle gives pcclRankConnectionLost. */
PCCL_EXPORT pcclResult_t pcclAwaitAsyncReduce(const pcclAsyncReduceOp_t *reduce_handle,
                                              pcclReduceInfo_t *reduce_info_out PCCL_NULLABLE);

/* Reduces `count` tensors, up to max_in_flight at a time; what a lost peer fails is launched again among
 * those who remain until all have succeeded. Tags must be unique.
 *   info     world size at the end, bytes summed over the successful ops.
 *   errors   pcclInvalidArgument: NULL, count 0, max_in_flight <= 0, duplicate tags, or a descriptor that
 *            pcclAllReduce refuses. pcclTooFewPeers: alone in the group, also if that happens meanwhile. */
PCCL_EXPORT pcclResult_t pcclAllReduceMultipleWithRetry(const pcclReduceOpDescriptor_t *descriptors, size_t count,
                                                        const pcclComm_t *communicator,
                                                        pcclReduceInfo_t *reduce_info_out PCCL_NULLABLE,
                                                        int max_in_flight);

/* ---- GPUs --------------------------------------------------------------------------------------- */

/* Memory of GPUs. Where a function takes buffers they may be memory of a GPU (CUDA), in builds with CUDA support
 * (pcclGetBuildInfo): the library asks the driver where they are. Peers on GPUs and on CPUs mix, and get the same
 * bits. Both buffers of an op are in memory of the same GPU, aligned to their elements, or both on the host.
 *   order    The library reads and writes them in streams of its own, after the work that the application has put
 *            into its stream before the call: see pcclSetStream. When a blocking call or pcclAwaitAsyncReduce has
 *            returned, the result is there for any stream. Asynchronous calls do not wait for the GPU, but for the
 *            first of a type, operation or quantization: CUDA loads its kernels then.
 *   memory   1 MiB on the GPU per op in flight; of an in-place op as much again as the buffer, kept for the next op
 *            up to 1 GiB; pinned blocks of the host, as many as are under way at once, kept.
 *   managed  memory and host memory that is registered or pinned count as the host's. Managed memory is used after
 *            the application's stream has come to the call, for which the call waits.
 *   errors   pcclInvalidArgument: a GPU's memory without support for it, buffers in different places, not aligned,
 *            shorter than the op. pcclInternalError: CUDA refuses memory or a stream, nothing has begun. A GPU that
 *            fails in the middle: the peer leaves the run, others go on without it; what its buffers hold is lost. */

/* The stream (cudaStream_t) that the application uses with this communicator from now on; NULL, the default, is
 * CUDA's default stream. It has to live until the ops launched after it have been awaited. Any thread.
 *   errors   pcclInvalidArgument: no such communicator. */
PCCL_EXPORT pcclResult_t pcclSetStream(const pcclComm_t *communicator, void *stream);

/* ---- Hosts with several GPUs -------------------------------------------------------------------- */

struct ncclComm; /* ncclComm_t of nccl.h is a pointer to it */

/* Gives the communicator the NCCL communicator of its host, so that all-reduces of GPU memory become
 * hierarchical. Every host has L processes with one GPU each; they share `local`, and process i of every host
 * is in peer group i. Then all-reduces, which all L processes call, reduce over all GPUs of all hosts: NCCL
 * reduce-scatters inside the host, each of the L groups all-reduces one shard of count / L elements across
 * hosts, and NCCL all-gathers. docs/nccl.md has a program.
 *   local    has L ranks; rank i is in peer group i, or one that leaves i when divided by L. NULL: none from
 *            now on. It stays the application's, who keeps it as long as it is attached and aborts it only
 *            when no call is inside. NCCL has to be loaded in this process (as libnccl.so.2, or linked into
 *            the program); the library does not need it.
 *   stream   cudaStream_t that the inputs are made in, NULL the default one: as pcclSetStream, which changes it.
 *            Results are complete when the all-reduce, or the await, returns.
 *   order    The L processes launch and await the same all-reduces, with the same descriptors, in the same
 *            order, and do not use `local` otherwise while such a call is inside: NCCL demands it. Launches and
 *            awaits that do not match give pcclInvalidUsage on all. Arguments that one of them gets wrong are
 *            refused on all alike, but for these, which the others cannot hear of and wait for: a communicator
 *            that is NULL or not connected, and a handle to await that is NULL or unknown.
 *   buffers  on the GPU of `local`; count 0 is a no-op. NCCL has no 16-bit integers.
 *   avg      the sum over all GPUs of all hosts, divided once: as exact as pcclAvg over so many peers. Among
 *            pcclMax and pcclMin inside a host, NCCL decides about NaN.
 *   quantized only across hosts, and error feedback is refused.
 *   info     local_world_size counts hosts; bytes are of this process's shard.
 *   async    pcclAllReduceAsync returns when the shard is reduced inside the host and under way to others.
 *   failure  What is known before the last step, the all-gather inside the host, all L processes return alike:
 *            their receive buffers are as they were, in place or not, and `local` is intact. After
 *            pcclRankConnectionLost call again; pcclInvalidUsage: one of them is no longer in the run.
 *            Where one process alone fails (NCCL, CUDA, an interrupted or a dead process), the others of its
 *            host wait for it in NCCL. It leaves the run, and with pcclSetCohort over the L processes the
 *            others are removed with it and give up 3 s later, with pcclRankConnectionLost. Without a cohort,
 *            and for a process that destroys its communicator alone, they wait for as long as NCCL does.
 *            One that fails in the last step gets pcclInternalError and an unspecified receive buffer; the
 *            others may have succeeded by then.
 *   waits    NCCL connects the GPUs when a collective is first used. In a communicator that blocks
 *            (ncclConfig_t) nothing ends that wait: attach one that does not block, or one in which
 *            ncclAllReduce, ncclReduceScatter and ncclAllGather have been called once.
 *   memory   count / L elements on the GPU for each op in flight, kept for later ones up to 1 GiB, and what an
 *            all-reduce of the shard takes that is not in place.
 *   cost     beyond NCCL's and the shard's two NCCL all-reduces of 40 bytes, to agree, and a wait for the GPU
 *            after each step.
 *   errors   pcclInvalidArgument: not a communicator, NCCL says so of `local`, or its rank does not fit the
 *            peer group. pcclInvalidUsage: no NCCL in this process, no CUDA support in this build, or NCCL is
 *            still making `local` (without blocking) after 30 s. pcclPendingAsyncOps: an async op has not been
 *            awaited. pcclInternalError: the GPU has no stream or memory left.
 *            Of all-reduces, then: as ever, and pcclInvalidArgument: a buffer that is not memory of the GPU of
 *            `local`, 16-bit integers, error feedback, or descriptors or peer groups that do not fit together
 *            inside the host. pcclInternalError: NCCL or CUDA has failed. After that, and after a wait that was
 *            given up, this process has left the run, and all-reduces give pcclInvalidUsage: make a new
 *            pcclComm_t, which joins anew, and attach another communicator to it. pcclInternalError of all L
 *            processes also: one of them has no memory, cannot load kernels or cannot follow its stream; nothing
 *            has changed then: the last error says which. */
PCCL_EXPORT pcclResult_t pcclCommAttachLocal(pcclComm_t *communicator, struct ncclComm *local PCCL_NULLABLE,
                                             void *stream PCCL_NULLABLE);

/* ---- Error feedback ----------------------------------------------------------------------------- */

/* What quantized all-reduces of one tensor have lost of this peer's numbers: a float32 *residual* per
 * element, zero at first. An all-reduce with it sends the input plus the residual, and keeps what it loses
 * this time as the new residual. So the losses of many rounds cancel instead of adding up: with residuals on
 * all peers, the sum of all results is off the sum of all inputs by what the last round has lost, however
 * many rounds there were. Made for tensors that are reduced again and again and whose results accumulate:
 * gradients, the pseudo-gradients of DiLoCo.
 *   source   F. Seide et al., "1-Bit Stochastic Gradient Descent and its Application to Data-Parallel
 *            Distributed Training of Speech DNNs", Interspeech 2014. Why training converges with it:
 *            S. P. Karimireddy et al., "Error Feedback Fixes SignSGD and other Gradient Compression
 *            Schemes", ICML 2019.
 *   failure  When the op fails, the residuals are as they were: call again.
 *   peers    Each peer has its own residuals or none; they are not sent, compared or made equal, and results
 *            have the same bits everywhere as ever. What a peer that leaves still owes is lost with it.
 *   memory   4 bytes per element, and as many more for the way back while an op runs. */
typedef struct pcclErrorFeedback_t pcclErrorFeedback_t;

/* Makes the residuals of a tensor of `count` elements, all zero.
 *   errors   pcclInvalidArgument: NULL, or count over the limit of an all-reduce. */
PCCL_EXPORT pcclResult_t pcclCreateErrorFeedback(size_t count, pcclErrorFeedback_t **feedback_out);

/* Where the residuals lie, in the order of the elements, until the handle is destroyed: to look at, to save
 * and restore with a checkpoint, to set to zero. Not while an op with them is in flight. Residuals of a tensor
 * on a GPU are kept there; they are copied back for this, so ask anew after each op.
 *   errors   pcclInvalidArgument: NULL, or no such handle. pcclInvalidUsage: an op with them is in flight.
 *            pcclInternalError: the GPU cannot copy them. */
PCCL_EXPORT pcclResult_t pcclErrorFeedbackData(const pcclErrorFeedback_t *feedback, float **residual_out,
                                               size_t *count_out PCCL_NULLABLE);

/* Frees the residuals; those of an op in flight when it has been awaited.
 *   errors   pcclInvalidArgument: NULL, or no such handle. */
PCCL_EXPORT pcclResult_t pcclDestroyErrorFeedback(pcclErrorFeedback_t *feedback);

/* pcclAllReduce with error feedback. Quantized pcclSum and pcclAvg only. Elements whose result is NaN keep
 * their residual, and so do tensors of a few KiB or less, which travel exactly.
 *   feedback one op at a time; NULL: none, as pcclAllReduce.
 *   errors   as pcclAllReduce, and pcclInvalidArgument: no such handle, another count, in use by an op in
 *            flight, no quantization, or another operation. */
PCCL_EXPORT pcclResult_t pcclAllReduceWithFeedback(const void *sendbuff, void *recvbuff,
                                                   const pcclReduceDescriptor_t *descriptor,
                                                   pcclErrorFeedback_t *feedback PCCL_NULLABLE,
                                                   const pcclComm_t *communicator,
                                                   pcclReduceInfo_t *reduce_info_out PCCL_NULLABLE);

/* pcclAllReduceAsync with error feedback; awaited by pcclAwaitAsyncReduce. */
PCCL_EXPORT pcclResult_t pcclAllReduceWithFeedbackAsync(const void *sendbuff, void *recvbuff,
                                                        const pcclReduceDescriptor_t *descriptor,
                                                        pcclErrorFeedback_t *feedback PCCL_NULLABLE,
                                                        const pcclComm_t *communicator,
                                                        pcclAsyncReduceOp_t *reduce_handle_out);

/* pcclAllReduceMultipleWithRetry with error feedback: feedbacks[i] is that of descriptors[i], or NULL; so may
 * be the array. */
PCCL_EXPORT pcclResult_t pcclAllReduceMultipleWithFeedback(const pcclReduceOpDescriptor_t *descriptors,
                                                           pcclErrorFeedback_t *const *feedbacks PCCL_NULLABLE,
                                                           size_t count, const pcclComm_t *communicator,
                                                           pcclReduceInfo_t *reduce_info_out PCCL_NULLABLE,
                                                           int max_in_flight);

/* ---- Shared state ------------------------------------------------------------------------------- */

/* Collective over the peer group: afterwards every entry (but those with allow_content_inequality) holds
 * the same bytes on every peer, and shared_state->revision is the same. Blocks until all peers of the group
 * have called. One content is elected: of the peers with the due revision, the one that most of them
 * hold; a tie goes to the peer that joined first. Peers with another content fetch the 256 KiB blocks
 * that differ, from all who hold them at once, and verify each by its digest (128-bit XXH3).
 *   revision The first sync of a group takes any: the one that most peers with a revision above 0 offer,
 *            so a run restored from a checkpoint goes on from there. Each later sync is due at one more
 *            than the last; a peer with less is overwritten, its revision too; a peer with more is
 *            removed. When nobody has advanced, the last sync is repeated if its content still stands.
 *            Below 2^62.
 *   entries  at most 262,144, with 8 MiB of names; their memory does not overlap and is not written to
 *            by anybody else during the call.
 *   GPUs     Memory of GPUs, and managed memory, is read after what is in the stream of pcclSetStream at the call,
 *            and has been written when it returns. Digests are computed where the tensors lie; only blocks
 *            that are sent or have come pass through the host, beside the network's work.
 *   memory   the caller's tensors, and less than 64 MiB beyond them; 128 MiB, most of it pinned, and 32 bytes
 *            a block of the GPU's where tensors lie on GPUs.
 *   cost     one pass over the tensors for the digests, several threads; one round trip to the master when
 *            all are equal; else the bytes of the blocks that differ, received.
 *   members  All peers of the group come back from it having seen the same membership, whoever was lost
 *            before: a program may return to this call after a failed all-reduce.
 *   errors   pcclInvalidArgument: NULL, unknown enum value, NULL data or name, duplicate or overlong name, a
 *            device_type that is not that of the data, or that this build has no support for.
 *            pcclPendingAsyncOps: an async op has not been awaited. pcclInvalidUsage: not connected, removed
 *            from the run (entries, revision or strategy do not fit the group's), the last holder of the
 *            elected content was lost, or nobody may be elected. pcclInternalError: CUDA cannot go on ("GPU 0:
 *            ..."): before the sync the others wait for another call of this peer, in the midst of it they go on
 *            without. After a failure every entry is untouched,
 *            wholly the elected content, or named as incomplete in pcclGetLastError; the revision is
 *            unchanged, and the next sync keeps the blocks that have come. */
PCCL_EXPORT pcclResult_t pcclSynchronizeSharedState(const pcclComm_t *communicator, pcclSharedState_t *shared_state,
                                                    pcclSharedStateSyncStrategy_t strategy,
                                                    pcclSharedStateSyncInfo_t *sync_info_out PCCL_NULLABLE);

/* How far a sync that another thread is inside has come: bytes of the blocks that differ which are here and
 * checked, and of all of them. Ten times a second it is brought up to date; both 0 while nothing is fetched.
 * For progress bars. Never blocks. Any thread.
 *   errors   pcclInvalidArgument: NULL. pcclInvalidUsage: not connected. */
PCCL_EXPORT pcclResult_t pcclGetSyncProgress(const pcclComm_t *communicator, uint64_t *bytes_here_out,
                                             uint64_t *bytes_wanted_out);

/* ---- Master ------------------------------------------------------------------------------------- */

/* Makes a master for one run. No I/O; works before pcclInit.  errors: pcclInvalidArgument (NULL). */
PCCL_EXPORT pcclResult_t pcclCreateMaster(ccoip_socket_address_t listen_address, pcclMasterInstance_t **master_handle_out);

/* Binds and starts serving on a thread of its own; returns at once. A master that takes the place of one that
 * has died, at the same address, takes up its run: the peers tell it what it has to know. For PCCL_MASTER_GRACE
 * (seconds, default 1) it waits for such peers before it lets the first peer into an empty run.
 *   errors   pcclInvalidArgument: NULL. pcclInvalidUsage: port in use, or launched before. */
PCCL_EXPORT pcclResult_t pcclRunMaster(pcclMasterInstance_t *master_instance);

/* Asks the master to stop; returns at once. May be called from a signal handler, and repeatedly.
 *   errors   pcclInvalidArgument: NULL. pcclInvalidUsage: never run. */
PCCL_EXPORT pcclResult_t pcclInterruptMaster(pcclMasterInstance_t *master_instance);

/* Blocks until the master has stopped. Repeatable.  errors as pcclInterruptMaster. */
PCCL_EXPORT pcclResult_t pcclMasterAwaitTermination(pcclMasterInstance_t *master_instance);

/* Frees a master; one that still runs is stopped first.  errors: pcclInvalidArgument (NULL). */
PCCL_EXPORT pcclResult_t pcclDestroyMaster(pcclMasterInstance_t *master_instance);

#ifdef __cplusplus
}
#endif

#endif
