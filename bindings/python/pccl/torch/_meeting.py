"""Where the peers of a group meet between two exchanges: newcomers come in, and all hold the same state."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from pccl._enums import ReduceOp
from pccl.torch._flat import Named
from pccl.torch._seat import PAUSE_WHILE_WAITING_S, Seat, Traffic

_COMPANY_TAG = 0  # of the all-reduce that asks whether all have come; other modules count from 1


class Meeting:
    """All peers make the same calls in the same order; each decision follows from what all of them know.

    Args:
        min_peers: training begins in this much company. Peers may have different wishes.
        verify_every: rounds (or steps) between two synchronizations without a newcomer; 0: none.
        tensors: what is shared, beside `done`.
    """

    def __init__(self, seat: Seat, min_peers: int, verify_every: int, tensors: Callable[[], Named]) -> None:
        self._seat = seat
        self._min_peers = min_peers
        self._verify_every = verify_every
        self._tensors = tensors
        self._done = torch.zeros((), dtype=torch.int64)
        self._revision = 0  # of the next synchronization
        self.traffic = Traffic()
        self.replaced = False
        """Whether this peer has taken over another state than it had; reset by whoever reads it."""

    @property
    def done(self) -> int:
        """Rounds (or steps) so far, by all who ever took part."""
        return int(self._done)

    @done.setter
    def done(self, value: int) -> None:
        self._done.fill_(value)

    def join(self) -> None:
        """Takes the seat and the state. Who lets this peer in is past its admission: so is this peer."""
        self._seat.take()
        self._revision = 0  # behind everybody else's: a newcomer takes over a state and never gives one
        self._synchronize()
        while self.done == 0 and self._some_wait_for_company():
            time.sleep(PAUSE_WHILE_WAITING_S)
            self._seat.admit()
            self._synchronize()

    def meet(self, newcomers_wait: bool) -> None:
        """``newcomers_wait`` is `Seat.peers_pending`, the same on all peers."""
        if newcomers_wait:
            self._seat.admit()
            self._synchronize()
        elif self._verify_every and self.done % self._verify_every == 0:
            self._synchronize()

    def _some_wait_for_company(self) -> bool:
        waiting = torch.tensor([int(self._seat.world_size() < self._min_peers)])
        if self._seat.reduce(waiting, ReduceOp.SUM, _COMPANY_TAG) is None:
            return True  # the world is smaller now
        return bool(waiting.item())

    def _synchronize(self) -> None:
        before = self.done
        revision, traffic = self._seat.synchronize(self._revision, [("done", self._done), *self._tensors()])
        self._revision = revision + 1
        self.traffic.add(traffic)
        self.replaced |= traffic.rx_bytes > 0 or self.done != before
