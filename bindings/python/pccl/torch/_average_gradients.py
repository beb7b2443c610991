"""Gradient averaging per step, as DistributedDataParallel does, among peers that come and go.

Before each step of the optimizer the gradients of all peers are averaged, so all take the same step. A newcomer is
handed parameters, buffers and the optimizer's state. When a peer is lost, the gradients are averaged among those who
remain: the step is neither lost nor taken twice.

A step at each peer: backward · all-reduce · optimizer step · admit newcomers, who are handed the state.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any, Optional, Union

import torch

from pccl._communicator import Communicator, ErrorFeedback
from pccl._descriptors import QuantizationOptions
from pccl._enums import ReduceOp
from pccl._errors import require, require_type, require_whole
from pccl.torch._flat import FlatTensors, persistent_buffers
from pccl.torch._meeting import Meeting
from pccl.torch._optimizer_state import NamedState
from pccl.torch._quantization import name_of, quantization_options
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
    """Seconds of the all-reduce; on a GPU also for what is left of the backward pass."""
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

    The constructor joins the run, which may take until the other peers are at the end of their step.

    Args:
        model: its parameters that require gradients now; all that still do must have one at each step, on all peers.
            Freeze and unfreeze them in the same step everywhere. DTensors (FSDP2): their local shards. Persistent
            buffers are averaged, too (integers up to 2^53, rounded).
        optimizer: of these parameters, without a closure. Its state has to follow from the gradients alone, in the same
            way on all peers, and a schedule of its learning rate from `step`. Gradients that are clipped before its step
            are those of this peer, not their average. With a GradScaler: one that is not ``fused``.
        communicator: connected or not.
        quantization, error_feedback: as of `DiLoCo`.
        min_peers, ranks_per_replica, rejoin: as of `DiLoCo`. A peer that comes back takes over a step that the others
            have done, and its own optimizer does nothing that time.
        admit_every: steps between two looks for newcomers.
        verify_every: steps between two synchronizations without a newcomer, which would find a peer whose arithmetic
            differs, and overwrite it; 0: none.
        steps_done: by a model and an optimizer that come from a checkpoint, for the first peers of a run; the others take
            over theirs.
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
        steps_done: int = 0,
        on_step: Optional[Callable[[StepReport], None]] = None,
    ) -> None:
        require_whole(admit_every, "admit_every", 1)
        require_whole(steps_done, "steps_done", 0)
        require_type(isinstance(communicator, Communicator), f"communicator is a {type(communicator).__name__}")
        self._quantization = quantization_options(quantization)
        require(
            not error_feedback or self._quantization is not None, "error_feedback is for quantized gradients"
        )
        self.model = model
        self.optimizer = optimizer
        self.on_step = on_step
        self.traffic = Traffic()
        """Of all steps."""
        self._admit_every = admit_every
        # Those of now: one that is frozen later has no gradient for a while.
        self._parameter_names = {name for name, p in model.named_parameters() if p.requires_grad}
        self._buffer_names = set(persistent_buffers(model))
        self._gradients = FlatTensors(self._parameters())
        self._buffers = FlatTensors(self._own_buffers())
        require(self._gradients.numel() > 0, "the model has no parameter that requires a gradient")
        self._feedbacks = [ErrorFeedback(flat.numel()) if error_feedback else None for flat in self._gradients.long]
        self._seat = Seat(communicator, ranks_per_replica)
        self._report = StepReport(0, 0)
        names = {p: name for name, p in self._parameters()}
        stepped = {p for p in self._stepped() if p.requires_grad}
        require(stepped == set(names), "the optimizer's parameters are others than the model's that require gradients")
        self._optimizer_state = NamedState(optimizer, names)
        kind = f"AverageGradients {type(optimizer).__name__} quantization={name_of(self._quantization)} {admit_every=}"
        self._meeting = Meeting(
            self._seat, kind, min_peers, verify_every, rejoin, self._shared_tensors, self._optimizer_state.taken_over
        )
        if steps_done > 0:
            self._meeting.resume(steps_done)
        self._set_aside: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._stepping = False
        with torch.no_grad(), self._leaving_on_error():
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
        """Peers of the group, as of the last exchange; 0: this one has left."""
        return self._seat.world_size()

    @property
    def communicator(self) -> Communicator:
        return self._seat.communicator

    def remove(self) -> None:
        """Leaves the run, and takes the hooks off the optimizer, which then steps for itself."""
        for hook in self._hooks:
            hook.remove()
        self._seat.leave()

    # ---- a step

    @torch.no_grad()
    def _before_step(self, _: torch.optim.Optimizer, arguments: tuple, options: dict[str, Any]) -> None:
        closure = options.get("closure", arguments[1] if len(arguments) > 1 else None)
        require(closure is None, "a closure would compute gradients after they have been averaged")
        self._report = StepReport(0, 0)
        self._set_aside.clear()
        began = time.perf_counter()
        named = dict(self._parameters())
        self._require_averageable(named)
        gradients = [(name, parameter.grad) for name, parameter in named.items() if parameter.grad is not None]
        if len(gradients) < len(named):
            self._gradients.zero_()
        self._gradients.copy_from(gradients)
        self._buffers.copy_from(self._own_buffers())
        with self._leaving_on_error():
            try:
                self._seat.require_taken()
                if self._stepping:
                    raise RemovedFromRun("the optimizer's last step has failed: the others have gone on")
                self._average()
            except RemovedFromRun as removed:
                self._join_again(removed)
                self._set_aside_gradients(list(named.values()))
            else:
                self._gradients.copy_to(gradients)
                self._buffers.copy_to(self._own_buffers())
                self._stepping = True
        self._report.reduce_s = time.perf_counter() - began

    def _require_averageable(self, named: dict[str, torch.Tensor]) -> None:
        missing = [name for name, parameter in named.items() if parameter.requires_grad and parameter.grad is None]
        require(not missing, f"no gradient of {', '.join(missing[:8])}")
        sparse = [name for name, p in named.items() if p.grad is not None and p.grad.layout != torch.strided]
        require(not sparse, f"gradients of {', '.join(sparse[:8])} are sparse, which are not averaged")
        known = set(named.values())
        strangers = [p for p in self._stepped() if p.grad is not None and p not in known]
        require(not strangers, f"{len(strangers)} parameters of the optimizer, which came later, would step alone")
        scaler = getattr(self.optimizer, "grad_scale", None), getattr(self.optimizer, "found_inf", None)
        require(scaler == (None, None), "in a fused optimizer each peer's GradScaler has its own way: use fused=False")

    def _average(self) -> None:
        averaged = [(flat, self._quantization, f) for flat, f in zip(self._gradients.long, self._feedbacks)]
        averaged += [(flat, None, None) for flat in self._buffers.long]
        for tag, (flat, *how) in enumerate(averaged, FIRST_TENSOR_TAG):
            self._count(self._seat.reduce_with_retry(flat, ReduceOp.AVG, tag, *how))

    def _set_aside_gradients(self, parameters: list[torch.Tensor]) -> None:
        """This peer came back to other parameters than its gradients are of: an optimizer skips those without one."""
        for parameter in parameters:
            self._set_aside.append((parameter, parameter.grad))
            parameter.grad = None

    @torch.no_grad()
    def _after_step(self, *_: Any) -> None:
        began = time.perf_counter()
        if self._set_aside:
            for parameter, gradient in self._set_aside:
                parameter.grad = gradient
            self._set_aside.clear()
        else:
            self._stepping = False
            self._end_step()
        report = self._report
        report.sync_s = time.perf_counter() - began
        report.step, report.world_size = self.step, self._seat.world_size()
        if self.on_step is not None:
            self.on_step(report)

    def _end_step(self) -> None:
        self._meeting.done += 1
        with self._leaving_on_error():
            try:
                look = self.step % self._admit_every == 0
                self._meeting.meet(look and self._seat.peers_pending())
                self._note_meeting()
            except RemovedFromRun as removed:
                self._join_again(removed)

    # ---- who takes part, and from where

    def _join(self) -> None:
        self._meeting.join()
        self._note_meeting()

    def _join_again(self, removed: RemovedFromRun) -> None:
        if not self._meeting.rejoin:
            raise removed
        _log.warning("removed from the run, joining again: %s", removed)
        self._seat.leave()
        self._stepping = False
        self._join()

    @contextlib.contextmanager
    def _leaving_on_error(self) -> Iterator[None]:
        """As `DiLoCo`'s."""
        try:
            yield
        except BaseException:
            self._seat.leave()
            raise

    def _note_meeting(self) -> None:
        self._count(self._meeting.traffic)
        self._meeting.traffic = Traffic()
        self._report.replaced |= self._meeting.replaced
        self._meeting.replaced = False

    def _shared_tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        for name, parameter in self._parameters():
            yield f"parameter/{name}", parameter
        for name, buffer in self._own_buffers():
            yield f"buffer/{name}", buffer
        yield from self._optimizer_state.tensors()

    def _parameters(self) -> Iterator[tuple[str, torch.Tensor]]:
        return ((name, p) for name, p in self.model.named_parameters() if name in self._parameter_names)

    def _own_buffers(self) -> Iterator[tuple[str, torch.Tensor]]:
        return ((name, buffer) for name, buffer in self.model.named_buffers() if name in self._buffer_names)

    def _stepped(self) -> Iterator[torch.Tensor]:
        return (p for group in self.optimizer.param_groups for p in group["params"])

    def _count(self, traffic: Traffic) -> None:
        self.traffic.add(traffic)
        self._report.tx_bytes += traffic.tx_bytes
        self._report.rx_bytes += traffic.rx_bytes
        self._report.retries += traffic.retries
