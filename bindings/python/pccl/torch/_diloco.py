"""DiLoCo: many steps of each peer for itself, then one exchange of how far everybody has come.

Every ``sync_every`` inner steps each peer takes its *pseudo-gradient*, the outer parameters minus where its inner
optimizer has gone, all average them, and all take the same *outer step* on the *outer parameters*, from which
everybody then goes on. The outer parameters, their velocity and the number of rounds are shared state: the same bits
on all peers, handed to newcomers, checked now and then.

A round at each peer: inner steps · all-reduce · outer step · if somebody waits: admit, synchronize. A newcomer comes
in at the admission and goes on from there, so all peers are always in the same call. With ``overlap`` the all-reduce
of a round, and the question whether somebody waits, run beside the inner steps of the next: wait for the all-reduce of
the round before · outer step with it · if somebody waits: admit, synchronize · launch this round's. Each peer goes on
from the outer parameters and its own pseudo-gradient, which is under way: were it left out, each round would repeat the
round before, and the outer momentum would swing. A newcomer, with no pseudo-gradient to give yet, launches with the
weight 0. (PCCL 1.0 had a second synchronization there; docs/python.md says why this needs none.)

Sources: Douillard et al., "DiLoCo: Distributed Low-Communication Training of Language Models", arXiv 2311.08105. Kale
et al., "Eager Updates For Overlapped Communication and Computation in DiLoCo", arXiv 2502.12996, where a peer's own
pseudo-gradient goes ahead of the average, too.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any, Optional, Union

import torch

from pccl._communicator import Communicator
from pccl._descriptors import QuantizationOptions
from pccl._errors import require, require_type, require_whole
from pccl.torch._meeting import Meeting
from pccl.torch._outer_model import OuterModel
from pccl.torch._outer_step import OuterStep
from pccl.torch._quantization import name_of, quantization_options
from pccl.torch._reduction import Averaging, InBackground
from pccl.torch._seat import RemovedFromRun, Seat, Traffic
from pccl.torch._side_streams import SideStreams

_log = logging.getLogger("pccl")


@dataclasses.dataclass
class RoundReport:
    """What a round was like for this peer."""

    round: int
    """Rounds ended so far, by all who ever took part."""
    world_size: int
    """Peers of the group after the round."""
    tx_bytes: int = 0
    """Payload bytes that this peer sent in this round, for the all-reduce and for newcomers."""
    rx_bytes: int = 0
    retries: int = 0
    """All-reduces that were done again because a peer was lost."""
    inner_s: float = 0.0
    """Seconds of the application's inner steps; on a GPU until they are launched, which may be long before they are done."""
    reduce_s: float = 0.0
    """Seconds that this peer waited for the all-reduce; on a GPU, without ``overlap``, also for what is left of the inner
    steps."""
    sync_s: float = 0.0
    """Seconds for admitting newcomers and synchronizing."""
    replaced: bool = False
    """Whether this peer took over another state than it had."""

    def metrics(self, prefix: str = "pccl/") -> dict[str, float]:
        """As a plain dict, for wandb or TensorBoard."""
        return {prefix + name: value for name, value in dataclasses.asdict(self).items()}


class DiLoCo:
    """Makes a training loop one of many that train one model together::

        diloco = pccl.torch.DiLoCo(model, optimizer, pccl.Communicator("master:48148"), sync_every=50)
        while diloco.round < 100:
            loss = loss_of(model(next(batches)))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            diloco.step()

    The constructor joins the run, which may take until the other peers are at the end of their round, and overwrites
    the model with theirs. All is done on the thread that calls, but the all-reduce with ``overlap``.

    Args:
        model: parameters that require gradients are trained together, of any type on any device; what is kept and
            exchanged of them is float32 (float64 of float64), see ``offload``. DTensors (FSDP2): their local shards, see
            ``ranks_per_replica``. Buffers are averaged once a round (integers up to 2^53, rounded); those that are not
            persistent, and parameters that require no gradient, are the peer's own: give all peers the same.
        inner_optimizer: the peer's own; its state is neither exchanged nor touched.
        communicator: connected or not. Reduces happen in its peer group.
        outer_lr, outer_momentum, nesterov: of the outer step; the same on all peers.
        sync_every: inner steps of a round. Peers may have different ones, and wait for the slowest.
        quantization: how pseudo-gradients travel: ``"uint8"``, see `quantization_options`; None: as they are.
        error_feedback: what quantization loses in one round is added to the next one.
        overlap: the all-reduce runs beside the inner steps of the next round, so each pseudo-gradient takes effect one
            round later; the first round takes no outer step.
        min_peers: the first round of a run begins in this much company, by the wish of its first peer. Later it goes on
            with whoever remains.
        ranks_per_replica: of an FSDP grid: when newcomers come, the next round begins when every replica is complete.
        verify_every: rounds between two checks, without a newcomer, that all hold the same; who does not (a defect of its
            machine) is overwritten. 0: none.
        rejoin: whether a peer that was removed from the run (it was frozen or cut off) comes back as a newcomer;
            otherwise `step` raises. So it does in a grid: the replica's other ranks work in step with this one.
        offload: what is kept and exchanged is in pinned host memory. Else it is on the GPU of the parameters: three times
            their number in float32, with ``overlap`` five times, and while an all-reduce is under way once more, since a lost
            peer may fail it; with ``error_feedback`` another one for what is left over, and one more during the all-reduce.
            In host memory anyway where libpccl is built without CUDA, or the parameters are on several devices. Peers may differ.
        checkpoint: a `state_dict` to go on from, for the first peers of a run; the others take over theirs.
        on_round: called with a `RoundReport` after each round.

    Raises:
        ConnectionError: no master, or it refuses this peer.
        RemovedFromRun: the other peers train another model, or in another way.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        inner_optimizer: torch.optim.Optimizer,
        communicator: Communicator,
        *,
        outer_lr: float = 0.7,
        outer_momentum: float = 0.9,
        nesterov: bool = True,
        sync_every: int,
        quantization: Union[str, QuantizationOptions, None] = None,
        error_feedback: bool = False,
        overlap: bool = False,
        min_peers: int = 1,
        ranks_per_replica: int = 1,
        verify_every: int = 10,
        rejoin: bool = True,
        offload: bool = False,
        checkpoint: Optional[dict[str, Any]] = None,
        on_round: Optional[Callable[[RoundReport], None]] = None,
    ) -> None:
        require_whole(sync_every, "sync_every", 1)
        require_type(isinstance(communicator, Communicator), f"communicator is a {type(communicator).__name__}")
        options = quantization_options(quantization)
        require(not error_feedback or options is not None, "error_feedback is for quantized pseudo-gradients")
        self.model = model
        self.inner_optimizer = inner_optimizer
        self.sync_every = sync_every
        self.on_round = on_round
        self.traffic = Traffic()
        """Of all rounds."""
        self._overlap = overlap

        outer_step = OuterStep(outer_lr, outer_momentum, nesterov)
        self._outer = OuterModel(model, outer_step, ahead=overlap, on_host=offload)
        require(self._outer.parameters.numel() > 0, "the model has no parameter that requires a gradient")
        self._change = self._outer.new_change()
        self._spare = self._outer.new_change() if overlap else None  # measured while the other one is in flight
        self._seat = Seat(communicator, ranks_per_replica)
        self._averaging = Averaging(self._seat, self._change, options, error_feedback)
        # Of all rounds: what has been in a stream is kept for it by torch's caching allocator.
        self._side_streams = SideStreams([*self._change.parameters.long, *self._change.buffers.long] if overlap else [])
        kind = f"DiLoCo {outer_step} overlap={overlap} quantization={name_of(options)}"
        self._meeting = Meeting(self._seat, kind, min_peers, verify_every, rejoin, self._outer.shared_tensors)
        self._in_flight: Optional[InBackground] = None
        self._inner_steps = 0
        if checkpoint is not None:
            self._meeting.resume(require_whole(checkpoint["round"], "checkpoint['round']", 0))
            self._outer.load_state_dict(checkpoint["tensors"])
        self._report = RoundReport(0, 0)
        with torch.no_grad(), self._leaving_on_error():
            self._join()
        self._round_began = time.perf_counter()

    # ---- for the application

    @property
    def round(self) -> int:
        """Rounds ended so far, by all who ever took part."""
        return self._meeting.done

    @property
    def progress(self) -> float:
        """Rounds done, with the part of this one: for schedules of the learning rate."""
        return self.round + self._inner_steps / self.sync_every

    @property
    def world_size(self) -> int:
        """Peers of the group, as of the last exchange; 0: this one has left."""
        return self._seat.world_size()

    @property
    def communicator(self) -> Communicator:
        return self._seat.communicator

    def step(self) -> Optional[RoundReport]:
        """To be called after each step of the inner optimizer. Every ``sync_every``-th time it ends the round, and gives
        its report.

        Whatever it raises, Ctrl-C included, this peer has left the run, and joins anew when it goes on (with ``rejoin``).
        What ``on_round`` raises comes after the round: the peer is still in the run.

        Raises:
            RemovedFromRun: with ``rejoin=False``: the run goes on without this peer.
            ConnectionError: it was removed, and no master has let it in again for two minutes.
        """
        self._inner_steps += 1
        return self.end_round() if self._inner_steps >= self.sync_every else None

    @torch.no_grad()
    def end_round(self) -> RoundReport:
        """Ends the round now, after however many inner steps."""
        self._report = RoundReport(0, 0, inner_s=time.perf_counter() - self._round_began)
        with self._leaving_on_error():
            try:
                self._seat.require_taken()
                if self._overlap:
                    self._end_round_overlapping()
                else:
                    self._end_round_waiting()
            except RemovedFromRun as removed:
                if not self._meeting.rejoin:
                    raise
                _log.warning("removed from the run, joining again: %s", removed)
                self._leave()
                self._join()
        self._inner_steps = 0
        report = self._report
        report.round, report.world_size = self.round, self._seat.world_size()
        if self.on_round is not None:
            self.on_round(report)
        self._round_began = time.perf_counter()
        return report

    @torch.no_grad()
    def finish(self) -> None:
        """With ``overlap``, at the end of training: waits for the averaging in flight and takes its outer step, the last
        one. All peers do, after the same round, or leave.

        Raises:
            RemovedFromRun: the others have finished without this peer.
        """
        if self._in_flight is not None:
            with self._leaving_on_error():
                self._wait_for_averaging()
            self._change.forget()
            self._outer.hand_out(self._change)

    def parameter_hash(self) -> str:
        """SHA-256 of the outer parameters' bits: equal on all peers after the same round."""
        return self._outer.hash()

    def state_dict(self) -> dict[str, Any]:
        """The shared state, to be given as ``checkpoint`` later; those of the model and the inner optimizer are the
        application's to save."""
        return {"round": self.round, "tensors": self._outer.state_dict()}

    # ---- a round

    def _end_round_waiting(self) -> None:
        self._outer.measure(self._change)
        began = time.perf_counter()
        self._count(self._averaging.of_all(self._change))
        self._report.reduce_s = time.perf_counter() - began
        self._outer.apply(self._change)
        self._meeting.done += 1
        self._meet(self._seat.peers_pending())
        self._outer.hand_out()

    def _end_round_overlapping(self) -> None:
        self._outer.measure(self._spare)
        newcomers_wait = self._wait_for_averaging()
        self._meeting.done += 1
        self._meet(newcomers_wait)
        if self._report.replaced:
            self._spare.forget()  # it began at other parameters
        self._launch_averaging()

    def _launch_averaging(self) -> None:
        self._outer.hand_out(self._spare)
        self._change, self._spare = self._spare, self._change
        self._in_flight = InBackground(self._seat, self._averaging, self._change, self._side_streams)
        self._in_flight.start()

    def _wait_for_averaging(self) -> bool:
        """Whether newcomers wait."""
        newcomers_wait = False
        if self._in_flight is not None:  # else `finish` has waited for it
            began = time.perf_counter()
            traffic, newcomers_wait = self._in_flight.wait()
            self._report.reduce_s = time.perf_counter() - began
            self._count(traffic)
            self._in_flight = None
        if self._change.weight > 0:
            self._outer.apply(self._change)
        return newcomers_wait

    def _leave(self) -> None:
        if self._in_flight is not None:
            self._in_flight.abandon()
            self._in_flight = None
        self._seat.leave()

    @contextlib.contextmanager
    def _leaving_on_error(self) -> Iterator[None]:
        """A peer that stops in the middle, Ctrl-C included, is out of step, and the others would wait for it for as long
        as its process lives. So it leaves, and joins anew when it goes on."""
        try:
            yield
        except BaseException:
            self._leave()
            raise

    # ---- who takes part, and from where

    def _join(self) -> None:
        self._meeting.join()
        self._note_meeting()
        if self._overlap:
            self._spare.forget()
            self._launch_averaging()
        else:
            self._outer.hand_out()

    def _meet(self, newcomers_wait: bool) -> None:
        began = time.perf_counter()
        self._meeting.meet(newcomers_wait)
        self._report.sync_s = time.perf_counter() - began
        self._note_meeting()

    def _note_meeting(self) -> None:
        self._count(self._meeting.traffic)
        self._meeting.traffic = Traffic()
        self._report.replaced |= self._meeting.replaced
        self._meeting.replaced = False

    def _count(self, traffic: Traffic) -> None:
        self.traffic.add(traffic)
        self._report.tx_bytes += traffic.tx_bytes
        self._report.rx_bytes += traffic.rx_bytes
        self._report.retries += traffic.retries
