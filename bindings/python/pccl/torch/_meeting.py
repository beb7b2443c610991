"""Where the peers of a group meet between two exchanges: newcomers come in, and all hold the same state."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import torch

from pccl._errors import require_whole
from pccl.torch._flat import Named
from pccl.torch._seat import PAUSE_WHILE_WAITING_S, RemovedFromRun, Seat, Traffic

_ATTEMPTS_TO_JOIN = 3
# Revisions that a peer offers before its first synchronization: whoever has a state goes before those who have none.
_FRESH, _HAS_A_STATE = 0, 1
_log = logging.getLogger("pccl")


class Meeting:
    """All peers make the same calls in the same order; each decision follows from what all of them know.

    Args:
        kind: whatever has to be the same on all peers so that they do. Who differs is removed, and told so.
        min_peers: training begins in this much company; the wish of the first peer counts.
        verify_every: rounds (or steps) between two synchronizations without a newcomer; 0: none.
        rejoin: whether a peer that is removed while it joins tries again.
        tensors: what is shared.
        taken_over: called after each synchronization.
    """

    def __init__(
        self,
        seat: Seat,
        kind: str,
        min_peers: int,
        verify_every: int,
        rejoin: bool,
        tensors: Callable[[], Named],
        taken_over: Callable[[], None] = lambda: None,
    ) -> None:
        require_whole(min_peers, "min_peers", 1)
        require_whole(verify_every, "verify_every", 0)
        self._seat = seat
        self._kind = f"{kind} verify_every={verify_every}"
        self._verify_every = verify_every
        # The other ranks of a sharded replica work in step with this one, and cannot wait until it has come back.
        self.rejoin = rejoin and seat.ranks_per_replica == 1
        self._tensors = tensors
        self._taken_over = taken_over
        self._done = torch.zeros((), dtype=torch.int64)
        self._begun = torch.zeros((), dtype=torch.int64)  # 0 while the first peers wait for company
        self._min_peers = torch.tensor(min_peers)
        self._revision = _FRESH  # of the last synchronization
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

    def resume(self, done: int) -> None:
        """Before `join`: this peer has a state already."""
        self.done = done
        self._revision = _HAS_A_STATE

    def join(self) -> None:
        """Takes the seat and the state. Who is removed meanwhile (it was frozen, say, or whoever gave it the state has
        died) has its own state still, and tries again."""
        for attempt in range(1, _ATTEMPTS_TO_JOIN + 1):
            try:
                self._seat.take()
                self._begin()
                return
            except RemovedFromRun as removed:
                self._seat.leave()
                if not self.rejoin or attempt == _ATTEMPTS_TO_JOIN:
                    raise
                _log.warning("removed from the run while joining it, trying again: %s", removed)

    def meet(self, newcomers_wait: bool) -> None:
        """``newcomers_wait`` is `Seat.peers_pending`, the same on all peers."""
        if newcomers_wait:
            self._seat.admit()
            self._synchronize(self._revision + 1)
        elif self._verify_every and self.done % self._verify_every == 0:
            self._synchronize(self._revision + 1)

    def _begin(self) -> None:
        """Who lets this peer in is past its admission: so is this peer.

        It has a state or none: whoever has trained before, in this run or another one, or comes with a checkpoint, goes
        before those who have not. A run that has begun takes neither.
        """
        self._synchronize(min(self._revision, _HAS_A_STATE), joining=True)
        # No all-reduce asks who waits: it could fail in one group of a grid and not in the others.
        while not self._begun and self._seat.present() < self._min_peers:
            time.sleep(PAUSE_WHILE_WAITING_S)
            self._seat.admit()
            self._synchronize(self._revision)  # nothing has happened since
        if not self._begun:
            self._begin_training()

    def _begin_training(self) -> None:
        """All who are there do. From here on the revision that is due is above what any newcomer offers: they take over
        the state of the run and have no say in it, however many of them bring a checkpoint."""
        self._begun.fill_(1)
        try:
            self._synchronize(self._revision + 1)
        except BaseException:
            self._begun.fill_(0)
            raise

    def _synchronize(self, offered: int, *, joining: bool = False) -> None:
        before = self.done
        about_the_run = [(self._kind, self._done), ("begun", self._begun), ("min_peers", self._min_peers)]
        self._revision, traffic = self._seat.synchronize(offered, [*about_the_run, *self._tensors()], joining=joining)
        self._taken_over()
        self.traffic.add(traffic)
        self.replaced |= traffic.rx_bytes > 0 or self.done != before
