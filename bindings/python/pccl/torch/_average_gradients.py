"""Gradient averaging per step, as DistributedDataParallel does, among peers that come and go.

Before each step of the optimizer the gradients of all peers are averaged, so all take the same step. A newcomer is
handed parameters, buffers and the optimizer's state. When a peer is lost, the gradients are averaged among those who
remain: the step is neither lost nor taken twice.

A step at each peer: backward · all-reduce · optimizer step · admit newcomers, who are handed the state.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any, Optional, Union

import torch

from pccl._communicator import Communicator, ErrorFeedback
from pccl._descriptors import QuantizationOptions
from pccl._enums import ReduceOp
from pccl._errors import require
from pccl.torch._flat import FlatTensors, local
from pccl.torch._meeting import Meeting
from pccl.torch._optimizer_state import NamedState, create_state
from pccl.torch._quantization import quantization_options
from pccl.torch._reduction import FIRST_TENSOR_TAG
from pccl.torch._seat import RemovedFromRun, Seat, Traffic

_log = logging.getLogger("pccl")


@dataclasses.dataclass
class StepReport:
    """What a step was like for this peer."""

    step: int
    """Steps done so far, by all who ever took part."""
    world_size: int
    """Peers of the group after the step."""
    tx_bytes: int = 0
    """Payload bytes that this peer sent in this step."""
    rx_bytes: int = 0
    retries: int = 0
    """All-reduces that were done again because a peer was lost."""
    reduce_s: float = 0.0
    """Seconds of the all-reduce."""
    sync_s: float = 0.0
    """Seconds for admitting newcomers and handing over the state."""
    replaced: bool = False
    """Whether this peer took over another state than it had."""

    def metrics(self, prefix: str = "pccl/") -> dict[str, float]:
        """As a plain dict, for wandb or TensorBoard."""
        return {prefix + name: value for name, value in dataclasses.asdict(self).items()}


class AverageGradients:
    """Hooks into an optimizer; the training loop stays as it is::

        average = pccl.torch.AverageGradients(model, optimizer, pccl.Communicator("master:48148"))
        while average.step < 1000:
            loss_of(model(next(batches))).backward()
            optimizer.step()  # with the average of all peers' gradients
            optimizer.zero_grad()

    The constructor joins the run, which may take until the other peers are at the end of their step. It creates the
    optimizer's state, as a first step would, so that there is something to hand over.

    Args:
        model: its parameters that require gradients; all must have one at each step, on all peers. DTensors (FSDP2):
            their local shards.
        optimizer: of these parameters. Its state has to follow from the gradients alone, in the same way on all peers.
        communicator: connected or not.
        quantization, error_feedback: as of `DiLoCo`.
        min_peers, ranks_per_replica, rejoin: as of `DiLoCo`.
        admit_every: steps between two looks for newcomers.
        verify_every: steps between two synchronizations without a newcomer, which would find a peer whose arithmetic
            differs, and overwrite it; 0: none.
        on_step: called with a `StepReport` after each step.

    Raises:
        ConnectionError: no master, or it refuses this peer.
        RemovedFromRun: the other peers train another model, or with another optimizer.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        communicator: Communicator,
        *,
        quantization: Union[str, QuantizationOptions, None] = None,
        error_feedback: bool = False,
        min_peers: int = 1,
        ranks_per_replica: int = 1,
        rejoin: bool = True,
        admit_every: int = 1,
        verify_every: int = 0,
        on_step: Optional[Callable[[StepReport], None]] = None,
    ) -> None:
        require(admit_every > 0, f"admit_every is {admit_every}")
        require(verify_every >= 0, f"verify_every is {verify_every}")
        self._quantization = quantization_options(quantization)
        require(
            not error_feedback or self._quantization is not None, "error_feedback is for quantized gradients"
        )
        self.model = model
        self.optimizer = optimizer
        self.on_step = on_step
        self.traffic = Traffic()
        """Of all steps."""
        self._rejoin = rejoin
        self._admit_every = admit_every
        self._gradients = FlatTensors(self._parameters())
        require(self._gradients.numel() > 0, "the model has no parameter that requires a gradient")
        self._feedbacks = [ErrorFeedback(flat.numel()) if error_feedback else None for flat in self._gradients.long]
        self._seat = Seat(communicator, ranks_per_replica)
        self._report = StepReport(0, 0)
        self._meeting = Meeting(self._seat, min_peers, verify_every, self._shared_tensors)
        create_state(optimizer)
        self._optimizer_state = NamedState(optimizer, {p: name for name, p in self._parameters()})
        with torch.no_grad():
            self._join()
        self._hooks = [
            optimizer.register_step_pre_hook(self._before_step),
            optimizer.register_step_post_hook(self._after_step),
        ]

    @property
    def step(self) -> int:
        """Steps done so far, by all who ever took part."""
        return self._meeting.done

    @property
    def world_size(self) -> int:
        """Peers of the group, as of the last exchange."""
        return self._seat.world_size()

    @property
    def communicator(self) -> Communicator:
        return self._seat.communicator

    def remove(self) -> None:
        """Takes the hooks off the optimizer, which then steps for itself."""
        for hook in self._hooks:
            hook.remove()

    # ---- a step

    @torch.no_grad()
    def _before_step(self, *_: Any) -> None:
        self._report = StepReport(0, 0)
        began = time.perf_counter()
        named = dict(self._parameters())
        missing = [name for name, parameter in named.items() if parameter.grad is None]
        require(not missing, f"no gradient of {', '.join(missing[:8])}")
        gradients = [(name, parameter.grad) for name, parameter in named.items()]
        self._gradients.copy_from(gradients)
        while not self._averaged():
            self._gradients.zero_()  # this peer came back to other parameters than these gradients are of
        self._gradients.copy_to(gradients)
        self._report.reduce_s = time.perf_counter() - began

    def _averaged(self) -> bool:
        try:
            for tag, (flat, feedback) in enumerate(zip(self._gradients.long, self._feedbacks), FIRST_TENSOR_TAG):
                self._count(self._seat.reduce_with_retry(flat, ReduceOp.AVG, tag, self._quantization, feedback))
        except RemovedFromRun as removed:
            self._join_again(removed)
            return False
        return True

    @torch.no_grad()
    def _after_step(self, *_: Any) -> None:
        began = time.perf_counter()
        self._meeting.done += 1
        try:
            look = self.step % self._admit_every == 0
            self._meeting.meet(look and self._seat.peers_pending())
            self._note_meeting()
        except RemovedFromRun as removed:
            self._join_again(removed)
        report = self._report
        report.sync_s = time.perf_counter() - began
        report.step, report.world_size = self.step, self._seat.world_size()
        if self.on_step is not None:
            self.on_step(report)

    # ---- who takes part, and from where

    def _join(self) -> None:
        self._meeting.join()
        self._note_meeting()

    def _join_again(self, removed: RemovedFromRun) -> None:
        if not self._rejoin:
            raise removed
        _log.warning("removed from the run, joining again: %s", removed)
        self._seat.take_anew()
        self._join()

    def _note_meeting(self) -> None:
        self._optimizer_state.take_numbers()
        self._count(self._meeting.traffic)
        self._meeting.traffic = Traffic()
        self._report.replaced |= self._meeting.replaced
        self._meeting.replaced = False

    def _shared_tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        for name, parameter in self._parameters():
            yield f"parameter/{name}", local(parameter)
        for name, buffer in self.model.named_buffers():
            yield f"buffer/{name}", local(buffer)
        yield from self._optimizer_state.tensors()

    def _parameters(self) -> Iterator[tuple[str, torch.Tensor]]:
        return ((name, p) for name, p in self.model.named_parameters() if p.requires_grad)

    def _count(self, traffic: Traffic) -> None:
        self.traffic.add(traffic)
        self._report.tx_bytes += traffic.tx_bytes
        self._report.rx_bytes += traffic.rx_bytes
        self._report.retries += traffic.retries
