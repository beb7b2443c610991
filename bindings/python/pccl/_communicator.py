"""A peer of a run."""

from __future__ import annotations

import dataclasses
import logging
import operator
import time
from typing import Any, Optional

from pccl import _loader, _streams
from pccl._address import split_address
from pccl._descriptors import NO_QUANTIZATION, QuantizationOptions, ReduceOpDescriptor, ReduceOperandDescriptor
from pccl._enums import Attribute, DeviceType, ReduceOp, SharedStateSyncStrategy
from pccl._errors import InvalidValueError, PCCLError, Result, require, require_type
from pccl._operand import Operand, operand_of, require_same_place
from pccl._shared_state import SharedState, SharedStateSyncInfo

_SECONDS_BETWEEN_ATTEMPTS = 1.0
_log = logging.getLogger("pccl")


@dataclasses.dataclass
class ReduceInfo:
    """What an all-reduce took: peers of the group at its launch, payload bytes that this peer sent and received."""

    local_world_size: int
    tx_bytes: int
    rx_bytes: int

    @property
    def world_size(self) -> int:
        """The same as ``local_world_size``."""
        return self.local_world_size


class ErrorFeedback:
    """What quantized all-reduces of one tensor have lost so far, added to the input of the next one.

    Made for tensors that are reduced again and again and whose results accumulate. See pcclErrorFeedback_t in pccl.h
    for the algorithm and its sources.

    Args:
        count: elements of the tensor.
    """

    def __init__(self, count: int) -> None:
        self._native = _loader.core.ErrorFeedback(count)

    @property
    def residual(self) -> memoryview:
        """float32, one per element, to look at, save, restore or zero; not while an all-reduce uses it. After all-reduces on
        a GPU ask anew: they keep it there, and this copies it back.

        Raises:
            RuntimeError: an all-reduce with it is in flight, or the GPU cannot copy it.
        """
        self._native.bring_back()
        return memoryview(self._native)


class AsyncReduceHandle:
    """An all-reduce that was launched; `wait` for it before the next topology update or sync."""

    def __init__(self, communicator: Communicator, tag: int) -> None:
        self._communicator = communicator
        self._native = communicator._native  # that of now: `renew` makes another one
        self._tag = tag
        self._outcome: Optional[tuple[bool, int, ReduceInfo]] = None

    def wait(self) -> tuple[bool, int, ReduceInfo]:
        """Blocks until the outcome is known: (success, value of the `Result`, info). Never raises for a failed op,
        whose info is zeros. May be called again."""
        if self._outcome is None:
            status, *info = self._communicator._await(self._native, self._tag)
            if status != 0:
                info = [0, 0, 0]
            self._outcome = (status == 0, status, ReduceInfo(*info))
        return self._outcome


class Communicator:
    """A peer, once `connect` has returned. Use it from one thread; another one may reduce at the same time, while
    the first calls nothing but `are_peers_pending` and `get_attribute`.

    Blocking calls release the GIL. A signal handler that raises (Ctrl-C: KeyboardInterrupt) ends them: the peer then
    leaves the run, in-place buffers hold their input again, and the other peers go on.

    Args:
        address: of the master, "ip:port", "[ipv6]:port" or "name:port".
        peer_group: only peers of the same group reduce and share state with each other.
        p2p_connection_pool_size: TCP connections to each neighbour; 0: chosen by the library.

    Raises:
        ValueError: the address has no port or cannot be resolved, or a number is out of range.
    """

    def __init__(self, address: str, peer_group: int = 0, p2p_connection_pool_size: int = 0) -> None:
        ip, port = split_address(address)
        self._seat = (
            ip,
            port,
            _unsigned(peer_group, 32, "peer_group"),
            _unsigned(p2p_connection_pool_size, 32, "p2p_connection_pool_size"),
        )
        self._connected = False
        self._cohort: Optional[tuple[int, int]] = None
        self._stream: Optional[int] = None  # by the application's wish; None: that of each tensor
        self._stream_owner: Any = None  # keeps it alive
        self._local: Optional[int] = None  # ncclComm_t
        self._native = _loader.core.Communicator(*self._seat)
        # Tensors of ops in flight, by tag: their bytes are in use until the op has been awaited.
        self._in_flight: dict[int, tuple[Any, ...]] = {}

    def close(self) -> None:
        """Leaves the run; the others go on. Calls that block in other threads end. No local communicator is attached any
        more."""
        native = getattr(self, "_native", None)
        if native is not None:
            native.destroy()
            self._in_flight.clear()
            self._connected = False
            self._local = None

    def renew(self) -> None:
        """Leaves the run and begins anew, unconnected: for a peer that was removed and wants to come back. The cohort and the
        stream stay; a local communicator does not, for a collective that was given up may be in it: `attach_local` it, or
        another one, on all ranks of the host."""
        self.close()
        self._native = _loader.core.Communicator(*self._seat)
        if self._cohort is not None:
            self.set_cohort(*self._cohort)
        if self._stream is not None:
            self.set_stream(self._stream_owner)

    def set_cohort(self, cohort: int, size: int) -> None:
        """Before `connect`: this peer is let in together with ``size`` - 1 others that name the same cohort, in whatever
        peer groups, or not yet. For the ranks of a sharded replica (`pccl.torch.shard_communicator` does it).

        Args:
            cohort: the same at all its members and at nobody else, drawn at random, not 0.
        """
        values = _unsigned(cohort, 64, "cohort"), _unsigned(size, 32, "size")
        self._check(self._native.set_cohort(*values), "pcclSetCohort")
        self._cohort = values

    def set_stream(self, stream: Any = None) -> None:
        """From now on ops on tensors in GPU memory follow this stream: they begin after the work that is in it when they are
        called.

        Args:
            stream: a ``torch.cuda.Stream`` or an object with ``__cuda_stream__``, which the communicator keeps alive; or a
                ``cudaStream_t`` (0: CUDA's default stream), which has to live until the ops have been awaited. None, as in
                the beginning: that of each tensor, which is torch's current one, what ``__cuda_array_interface__`` names, or
                with DLPack CUDA's default stream, which then waits for the tensor.
        """
        wish = None if stream is None else _streams.handle_of(stream)
        self._check(self._native.set_stream(wish or _streams.DEFAULT), "pcclSetStream")
        self._stream, self._stream_owner = wish, stream

    def attach_local(self, local: Optional[int]) -> None:
        """All-reduces of GPU memory become hierarchical: NCCL inside this host, PCCL between hosts (docs/nccl.md;
        `pccl.torch.attach_local` does it for a torch.distributed group). All ranks of the host call the same ones in the
        same order.

        Args:
            local: the ``ncclComm_t`` of the GPUs of this host, whose rank i is in peer group i; it lives until another one
                or None is attached, or `close` or `renew`, which let go of it. None: no longer.
        """
        value = _unsigned(local or 0, 64, "local")
        self._check(self._native.attach_local(value, self._stream or _streams.DEFAULT), "pcclCommAttachLocal")
        self._local = value or None

    def has_local(self) -> bool:
        """Whether a local communicator is attached."""
        return self._local is not None

    def is_connected(self) -> bool:
        """Whether `connect` has returned and `close` has not been called. A peer that was removed from the run does not
        know before its next call."""
        return self._connected

    def __enter__(self) -> Communicator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    # ---- membership

    def connect(self, n_attempts: int = 5) -> None:
        """Joins the run: returns inside the `update_topology` of the others, who admit this peer; the first peer of a run
        at once. Do next what they do after their `update_topology`.

        Tries again every second.

        Raises:
            ConnectionError: all attempts have failed; the cause is the last `PCCLError`.
        """
        for attempt in range(1, n_attempts + 1):
            try:
                self._check(self._native.connect(), "pcclConnect")
                self._connected = True
                return
            except PCCLError as error:
                _log.warning("attempt %d of %d to connect failed: %s", attempt, n_attempts, error)
                last = error
            except BaseException:  # of a signal handler: as if it had not been called, even if the peer is in already
                self.renew()
                raise
            if attempt < n_attempts:
                time.sleep(_SECONDS_BETWEEN_ATTEMPTS)
        require(n_attempts > 0, f"n_attempts is {n_attempts}")
        raise ConnectionError(f"Failed to connect to the master after {n_attempts} attempts: {last}") from last

    def get_attribute(self, attribute: Attribute) -> int:
        """A number about the run as last refreshed by `connect`, `update_topology`, `optimize_topology`,
        `sync_shared_state` or a failed all-reduce. Never blocks; any thread."""
        status, value = self._native.attribute(attribute.value)
        self._check(status, "pcclGetAttribute")
        return value

    def update_topology(self) -> None:
        """Admits the peers that wait. Blocks until all accepted peers of all groups have called it."""
        self._check(self._native.update_topology(), "pcclUpdateTopology")

    def are_peers_pending(self) -> bool:
        """Whether any peer waits to be admitted: the same answer on all peers of all groups, once all have asked. May be
        called while all-reduces run."""
        status, pending = self._native.are_peers_pending()
        self._check(status, "pcclArePeersPending")
        return pending

    def optimize_topology(self) -> None:
        """Measures the paths between all peers, a second or two for each, and adopts the fastest ring. Blocks until all
        accepted peers of all groups have called it."""
        self._check(self._native.optimize_topology(), "pcclOptimizeTopology")

    def sync_shared_state(
        self,
        shared_state: SharedState,
        strategy: SharedStateSyncStrategy = SharedStateSyncStrategy.ENFORCE_POPULAR,
    ) -> SharedStateSyncInfo:
        """Makes every entry the same bit by bit, and the revision, on all peers of the group, who all have to call it.
        Entries on GPUs are used after the work in torch's current stream."""
        if self._stream is None:
            self._follow(_streams.after_all(shared_state._on_gpu()))
        status, revision, tx_bytes, rx_bytes = self._native.synchronize(
            shared_state.revision, shared_state._entries(), strategy.value
        )
        self._check(status, "pcclSynchronizeSharedState")
        shared_state._revision = revision
        return SharedStateSyncInfo(tx_bytes, rx_bytes)

    def sync_progress(self) -> tuple[int, int]:
        """How far a `sync_shared_state` that another thread is inside has come: bytes of what differs that are here, and all
        of them; both 0 while nothing is fetched. For progress bars. Never blocks; any thread."""
        status, here, wanted = self._native.sync_progress()
        self._check(status, "pcclGetSyncProgress")
        return here, wanted

    # ---- all-reduce

    def all_reduce(
        self,
        send: Any,
        recv: Any,
        *,
        op: ReduceOp,
        tag: int = 0,
        operand_descriptor: Optional[ReduceOperandDescriptor] = None,
        quantization_options: Optional[QuantizationOptions] = None,
        error_feedback: Optional[ErrorFeedback] = None,
    ) -> ReduceInfo:
        """Reduces a tensor across the peers of the group; all get the same bits.

        Args:
            send, recv: two torch tensors or two numpy arrays (or two objects with DLPack, ``__cuda_array_interface__`` or
                the buffer protocol) of the same size and type, contiguous, in host memory or on one GPU (`set_stream` says
                after which work there). The same one twice: in place. Peers on GPUs and on CPUs mix.
            tag: names the op among those in flight, the same on all peers.
            operand_descriptor: default: the type of the tensors.
            quantization_options: default: elements travel as they are.
            error_feedback: of this tensor, for quantized SUM and AVG.

        Raises:
            PCCLError: RANK_CONNECTION_LOST: a peer was lost, on all peers alike; in place the tensor holds its input
                again: call again. TOO_FEW_PEERS: alone in the group. INVALID_ARGUMENT: e.g. the peers' calls differ.
                INTERNAL_ERROR: e.g. no memory on the GPU, of which an op in place takes as much again as the tensor. torch's
                caching allocator may keep some that is free: ``torch.cuda.empty_cache()``. From `all_reduce_async` it says that
                nothing has begun; call again then.
            ValueError: the tensors do not fit.
        """
        operation, _owners = self._operation(send, recv, op, tag, operand_descriptor, quantization_options)
        status, *info = self._native.all_reduce(operation, error_feedback and error_feedback._native)
        self._check(status, "pcclAllReduce")
        return ReduceInfo(*info)

    def all_reduce_async(
        self,
        send: Any,
        recv: Any,
        *,
        op: ReduceOp,
        tag: int = 0,
        operand_descriptor: Optional[ReduceOperandDescriptor] = None,
        quantization_options: Optional[QuantizationOptions] = None,
        error_feedback: Optional[ErrorFeedback] = None,
    ) -> AsyncReduceHandle:
        """Launches what `all_reduce` does and returns. The tensors stay in use, and alive, until the handle's `wait`. Waits for
        no GPU: the op begins after the work that is in the stream by now, and later work in it must leave the tensors alone
        until `wait` has returned."""
        operation, owners = self._operation(send, recv, op, tag, operand_descriptor, quantization_options)
        # Kept before it is launched: a signal handler may raise right after. The op that has the tag already keeps its own.
        before = self._in_flight.get(tag, ())
        self._in_flight[tag] = (*before, *owners, error_feedback)
        status = self._native.all_reduce_async(operation, error_feedback and error_feedback._native)
        if status != 0:
            self._in_flight.pop(tag)
            if before:
                self._in_flight[tag] = before
        self._check(status, "pcclAllReduceAsync")
        return AsyncReduceHandle(self, tag)

    def all_reduce_multiple_with_retry(
        self,
        descriptors: list[ReduceOpDescriptor],
        *,
        max_in_flight: int = 4,
        error_feedbacks: Optional[list[Optional[ErrorFeedback]]] = None,
    ) -> ReduceInfo:
        """Reduces many tensors, up to ``max_in_flight`` at a time; what a lost peer fails is done again among those who
        remain, until all have succeeded. Tags must be unique.

        Raises:
            PCCLError: TOO_FEW_PEERS: alone in the group, also if that happens meanwhile.
        """
        feedbacks = error_feedbacks or []
        require(len(feedbacks) in (0, len(descriptors)), "error_feedbacks must be as many as descriptors")
        if self._stream is None:
            self._follow(_streams.after_all(tensor for descriptor in descriptors for tensor in descriptor._on_gpu))
        status, *info = self._native.all_reduce_multiple(
            [descriptor._operation() for descriptor in descriptors],
            [feedback and feedback._native for feedback in feedbacks],
            max_in_flight,
        )
        self._check(status, "pcclAllReduceMultipleWithRetry")
        return ReduceInfo(*info)

    # ---- inside

    def _check(self, status: int, function: str) -> None:
        if status != 0:
            raise PCCLError(Result(status), function, self._reason())

    def _reason(self) -> str:
        # The text begins with the C function that was called, which is not always the one that the error names.
        return self._native.last_error().partition(": ")[2]

    def _await(self, native: Any, tag: int) -> tuple[int, int, int, int]:
        try:
            return native.await_reduce(tag)
        finally:  # what a signal handler raises has ended the op, too
            if native is self._native:
                self._in_flight.pop(tag, None)

    def _follow(self, stream: Optional[int]) -> None:
        if stream is not None:
            self._check(self._native.set_stream(stream), "pcclSetStream")

    def _operation(
        self,
        send: Any,
        recv: Any,
        op: ReduceOp,
        tag: int,
        operand_descriptor: Optional[ReduceOperandDescriptor],
        quantization_options: Optional[QuantizationOptions],
    ) -> tuple[Any, tuple[Any, Any]]:
        require_type(isinstance(op, ReduceOp), f"op is {op!r}, not a ReduceOp")
        tag = _unsigned(tag, 64, "tag")
        target = operand_of(recv, "recv", writable=True, stream=self._stream)
        source = target if send is recv else operand_of(send, "send", stream=self._stream)
        _require_fit(source, target)
        dtype, hint = source.dtype, 0
        if operand_descriptor is not None:
            dtype, hint = operand_descriptor.datatype, operand_descriptor.distribution_hint.value
            require(dtype is source.dtype, f"send has elements of {source.dtype.name}, the descriptor says {dtype.name}")
        if source.device is DeviceType.CUDA and self._stream is None:
            self._follow(_stream_of_both(source, target))
        quantization = quantization_options or NO_QUANTIZATION
        operation = _loader.core.Operation(
            source.address,
            target.address,
            source.count,
            dtype.value,
            op.value,
            tag,
            hint,
            quantization.quantized_datatype.value,
            quantization.algorithm.value,
        )
        return operation, (source.owner, target.owner)


def _unsigned(value: Any, bits: int, name: str) -> int:
    """As an int: numpy's integers are as good."""
    is_integer = hasattr(value, "__index__")
    require(is_integer and 0 <= operator.index(value) < 2**bits, f"{name} {value!r} is not in [0, 2^{bits})")
    return operator.index(value)


def _require_fit(source: Operand, target: Operand) -> None:
    if source.kind != target.kind:
        raise InvalidValueError(
            f"send and recv must both be torch tensors or both be numpy arrays, not {source.kind} and {target.kind}"
        )
    require_same_place(source, target)
    require(source.dtype is target.dtype, f"send has elements of {source.dtype.name}, recv of {target.dtype.name}")
    require(source.count == target.count, f"send has {source.count} elements, recv has {target.count}")


def _stream_of_both(source: Operand, target: Operand) -> int:
    streams = {operand.current_stream() for operand in (source, target)} - {None}
    require(
        len(streams) < 2,
        "send and recv are in use in two streams; make one wait for the other, and name it with Communicator.set_stream",
    )
    return streams.pop() if streams else _streams.DEFAULT
