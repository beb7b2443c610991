"""A seat in a run: the calls that training needs, each with the few outcomes that training can tell apart.

A lost peer is no outcome: what it broke is done again among those who remain. `RemovedFromRun` is: the run goes on
without this peer (it was frozen or cut off), which may take a new seat as a newcomer.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any, Optional

import torch

from pccl._communicator import Communicator, ErrorFeedback, ReduceInfo
from pccl._descriptors import QuantizationOptions
from pccl._enums import Attribute, ReduceOp
from pccl._errors import PCCLError, Result, require, require_whole
from pccl._shared_state import SharedState, TensorInfo
from pccl.torch._flat import Named
from pccl.torch._progress import shown
from pccl.torch._staging import Staging

PAUSE_WHILE_WAITING_S = 0.1
# A second or more each: a network that is down for a minute is common, and ends no training.
_ATTEMPTS_TO_COME_BACK = 120
_REMOVED = (Result.INVALID_USAGE, Result.UPDATE_TOPOLOGY_FAILED, Result.TOPOLOGY_OPTIMIZATION_FAILED)


class RemovedFromRun(Exception):
    """The run goes on without this peer."""


@dataclasses.dataclass
class Traffic:
    """Payload bytes of this peer, and all-reduces that a lost peer made it do again."""

    tx_bytes: int = 0
    rx_bytes: int = 0
    retries: int = 0

    def add(self, other: Traffic) -> None:
        self.tx_bytes += other.tx_bytes
        self.rx_bytes += other.rx_bytes
        self.retries += other.retries


class Seat:
    """A communicator in use by one training loop.

    Args:
        ranks_per_replica: of a grid of replicas that are sharded over so many peers each, one per peer group.
    """

    def __init__(self, communicator: Communicator, ranks_per_replica: int = 1) -> None:
        require_whole(ranks_per_replica, "ranks_per_replica", 1)
        _require_no_local_communicator(communicator)
        self.communicator = communicator
        communicator.set_stream()  # torch's current one: that is where the tensors are written
        self.ranks_per_replica = ranks_per_replica
        self._was_in = False
        self.admitted = 0
        """Peers of the group after the last admission: the same number on all of them, in a grid on all of all groups,
        whoever has been lost since."""

    def world_size(self) -> int:
        if not self.communicator.is_connected():
            return 0
        return self.communicator.get_attribute(Attribute.LOCAL_WORLD_SIZE)

    def present(self) -> int:
        """Peers of the group as of the last synchronization, which may have removed some: the same number on all. In a
        grid it could differ between the groups, and those of the last admission count."""
        return self.world_size() if self.ranks_per_replica == 1 else self.admitted

    def take(self) -> None:
        """Connects, unless the application has."""
        if not self.communicator.is_connected():
            self.communicator.connect(*[_ATTEMPTS_TO_COME_BACK] * self._was_in)
        self._was_in = True
        self._complete_grid()

    def leave(self) -> None:
        """The others go on, and `take` joins anew. Also for a peer that is out of step: others would wait for it."""
        self.communicator.renew()

    def require_taken(self) -> None:
        if not self.communicator.is_connected():
            raise RemovedFromRun("this peer has left the run")

    def admit(self) -> None:
        """Collective over all groups: lets in who waits. Newcomers skip it once: `take` returned inside it."""
        with _removals():
            self.communicator.update_topology()
        self._complete_grid()

    def peers_pending(self) -> bool:
        with _removals():
            return self.communicator.are_peers_pending()

    def _complete_grid(self) -> None:
        if self.ranks_per_replica > 1:
            with _removals():
                complete_grid(self.communicator, self.ranks_per_replica)
        self.admitted = self.world_size()

    def synchronize(self, revision: int, tensors: Named, *, joining: bool = False) -> tuple[int, Traffic]:
        """Collective over the group: afterwards all hold the same. The revision that it has now, and the traffic.

        Args:
            joining: when this breaks off, the tensors are as they were.
        """
        staging = Staging(tensors, copy_all=joining)
        state = SharedState([TensorInfo.from_torch(tensor, name) for name, tensor in staging.entries])
        state.revision = revision
        with _removals(), shown(self.communicator):
            info = self.communicator.sync_shared_state(state)
        if info.rx_bytes > 0:
            staging.put_back()
        return state.revision, Traffic(info.tx_bytes, info.rx_bytes)

    def reduce(
        self,
        values: torch.Tensor,
        op: ReduceOp,
        tag: int,
        quantization: Optional[QuantizationOptions] = None,
        feedback: Optional[ErrorFeedback] = None,
    ) -> Optional[Traffic]:
        """In place. None: a peer was lost, on all that remain alike; the values are as they were. A peer that is alone
        has the result already."""
        _require_no_local_communicator(self.communicator)  # it may have been attached meanwhile
        try:
            with _removals():
                info = _all_reduce(
                    self.communicator, values, op=op, tag=tag, quantization_options=quantization, error_feedback=feedback
                )
        except PCCLError as error:
            if error.result is Result.TOO_FEW_PEERS:
                return Traffic()
            if error.result is Result.RANK_CONNECTION_LOST:
                return None
            raise
        return Traffic(info.tx_bytes, info.rx_bytes)

    def reduce_with_retry(
        self,
        values: torch.Tensor,
        op: ReduceOp,
        tag: int,
        quantization: Optional[QuantizationOptions] = None,
        feedback: Optional[ErrorFeedback] = None,
    ) -> Traffic:
        """`reduce` among those who remain, until it succeeds."""
        total = Traffic()
        while (done := self.reduce(values, op, tag, quantization, feedback)) is None:
            total.retries += 1
        total.add(done)
        return total


def complete_grid(communicator: Communicator, ranks_per_replica: int) -> None:
    """Admits peers until every replica has all its ranks: until the groups are equally large and all there. Every peer
    of the run has to be in it."""
    while communicator.get_attribute(Attribute.GLOBAL_WORLD_SIZE) < ranks_per_replica * communicator.get_attribute(
        Attribute.LARGEST_PEER_GROUP_WORLD_SIZE
    ):
        time.sleep(PAUSE_WHILE_WAITING_S)
        communicator.update_topology()


def _all_reduce(communicator: Communicator, values: torch.Tensor, **how: Any) -> ReduceInfo:
    """In place. On a GPU, where the op takes memory for the way back, that of torch's caching allocator is free again if need
    be: a launch that fails has changed nothing, so there it is done apart from the wait."""
    if values.device.type != "cuda":
        return communicator.all_reduce(values, values, **how)
    try:
        handle = communicator.all_reduce_async(values, values, **how)
    except PCCLError as error:
        if error.result is not Result.INTERNAL_ERROR:
            raise
        torch.cuda.empty_cache()
        try:
            handle = communicator.all_reduce_async(values, values, **how)
        except PCCLError as again:  # a GPU that has failed has cost the seat, and it would fail in another one
            raise error if again.result in _REMOVED else again
    _, status, info = handle.wait()
    communicator._check(status, "pcclAwaitAsyncReduce")
    return info


def _require_no_local_communicator(communicator: Communicator) -> None:
    require(
        not communicator.has_local(),
        "the communicator has a local one (attach_local): its all-reduces add up one tensor over all ranks of a host, and here "
        "every rank has a shard of its own",
    )


class _removals:
    """Turns the codes of a lost seat into RemovedFromRun."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: Optional[BaseException], trace: object) -> None:
        if isinstance(error, PCCLError) and error.result in _REMOVED:
            raise RemovedFromRun(str(error)) from error
