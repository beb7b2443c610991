"""Runs inside this process: a master, and peers with a thread each.

A communicator is used from the thread that connected it, so every peer has exactly one thread, and a test hands it
functions to run there. All waits are bounded.
"""

from __future__ import annotations

import concurrent.futures
import sys
import threading
import traceback
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Callable, Sequence

import pccl
from pccl import Attribute
from ports import free_address

# Seconds for what takes milliseconds on an idle machine.
PATIENCE = 60


class Peer:
    def __init__(self, address: str, peer_group: int = 0) -> None:
        self.communicator = pccl.Communicator(address, peer_group)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="peer")

    def start(self, body: Callable, *arguments: Any) -> Future:
        """body(communicator, *arguments) on the peer's thread."""
        return self._thread.submit(body, self.communicator, *arguments)

    def call(self, body: Callable, *arguments: Any) -> Any:
        return self.start(body, *arguments).result(PATIENCE)

    def attribute(self, attribute: Attribute) -> int:
        return self.communicator.get_attribute(attribute)

    def leave(self) -> None:
        self.communicator.close()
        self._thread.shutdown(wait=False)


class Run:
    """A master, and the peers that joined through it. Leaves nothing behind."""

    def __init__(self, address: str | None = None) -> None:
        self.master: pccl.MasterNode | None
        self.address, self.master = (address, started_master(address)) if address else _master_on_a_free_port()
        self.peers: list[Peer] = []

    @classmethod
    def at(cls, address: str) -> Run:
        """Peers of a run whose master is elsewhere."""
        run = cls.__new__(cls)
        run.address, run.master, run.peers = address, None, []
        return run

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        for peer in self.peers:
            peer.leave()
        if self.master is not None:
            self.master.interrupt()
            self.master.await_termination()

    def newcomer(self, peer_group: int = 0) -> Peer:
        """A peer that has not connected yet."""
        peer = Peer(self.address, peer_group)
        self.peers.append(peer)
        return peer

    def join(self, *peer_groups: int) -> list[Peer]:
        """Newcomers of these groups join, all present peers admit them: gives everybody."""
        newcomers = [self.newcomer(group) for group in peer_groups]
        world = len(self.peers)
        together(self.peers, lambda communicator, i: _meet(communicator, world, i >= world - len(newcomers)))
        return self.peers

    def update_until(self, world: int) -> None:
        """All present peers call update_topology until the run has so many: others, of another process, have joined, or
        somebody who left is gone."""
        together(self.peers, lambda communicator, _: _meet(communicator, world, connects=False))

    def leave(self, peer: Peer) -> None:
        self.peers.remove(peer)
        peer.leave()


def started_master(address: str) -> pccl.MasterNode:
    master = pccl.MasterNode(listen_address=address)
    master.run()
    return master


def _master_on_a_free_port() -> tuple[str, pccl.MasterNode]:
    for _ in range(10):  # a free port may be taken by somebody else before it is used
        address = free_address()
        try:
            return address, started_master(address)
        except pccl.PCCLError as error:
            last = error
    raise last


def _meet(communicator: pccl.Communicator, world: int, connects: bool) -> None:
    if connects:
        communicator.connect(n_attempts=1)
    while communicator.get_attribute(Attribute.GLOBAL_WORLD_SIZE) != world:
        communicator.update_topology()


def together(peers: Sequence[Peer], body: Callable) -> list:
    """body(communicator, i) on all peers at once: the results. When one fails the others, who may wait for it, are
    released, and its exception is raised."""
    futures = [peer.start(body, i) for i, peer in enumerate(peers)]
    done, waiting = concurrent.futures.wait(futures, PATIENCE, concurrent.futures.FIRST_EXCEPTION)
    failed = next((future for future in futures if future in done and future.exception() is not None), None)
    stacks = _stacks() if waiting and failed is None else ""
    if waiting or failed is not None:
        for peer in peers:
            peer.leave()
    if failed is not None:
        failed.result()
    if waiting:
        raise TimeoutError(f"{len(waiting)} of {len(peers)} peers still wait after {PATIENCE} s\n{stacks}")
    return [future.result() for future in futures]


def outcomes(peers: Sequence[Peer], body: Callable) -> list:
    """As together, but a PCCLError is a result like any other."""

    def attempt(communicator: pccl.Communicator, i: int) -> Any:
        try:
            return body(communicator, i)
        except pccl.PCCLError as error:
            return error

    return together(peers, attempt)


def codes(peers: Sequence[Peer], body: Callable) -> list[str]:
    """The names of the Results of body on all peers."""
    errors = outcomes(peers, body)
    return [error.result.name if isinstance(error, pccl.PCCLError) else "SUCCESS" for error in errors]


def retried(reduce: Callable) -> Any:
    """reduce() until it succeeds, as training programs do: somebody who leaves may fail an op more than once."""
    while True:
        try:
            return reduce()
        except pccl.PCCLError as error:
            if error.result is not pccl.Result.RANK_CONNECTION_LOST:
                raise


def _stacks() -> str:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    frames = sys._current_frames().items()
    return "\n".join(f"{names.get(i, i)}:\n{''.join(traceback.format_stack(frame)[-4:])}" for i, frame in frames)
