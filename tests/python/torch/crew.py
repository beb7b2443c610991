"""A master, and peers in processes of their own, which a test can kill, freeze and interrupt.

A peer is forked from a server that has imported torch already, so it is there in some milliseconds. The test hands it
functions of modules in this folder, which get a namespace of that peer, where it keeps its model and the like.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import socket
import threading
import time
import traceback
import types
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

import bodies
import pccl

# Seconds for what takes milliseconds on an idle machine.
PATIENCE = float(os.environ.get("PCCL_TEST_PATIENCE", 60))

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["torch._dynamo", "torch.distributed.fsdp", "pccl.torch", "bodies"])


class Failed(Exception):
    """What a peer's function has raised; the text is its traceback."""

    def __init__(self, kind: str, trace: str) -> None:
        super().__init__(trace)
        self.kind = kind
        """The exception's class name."""


class Peer:
    """A process that runs one function after the other."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._link, theirs = _context.Pipe()
        self._process = _context.Process(target=_serve, args=(theirs, environment))
        self._process.start()
        theirs.close()

    def start(self, body: Callable, *arguments: Any, **options: Any) -> None:
        """body(namespace, *arguments, **options) over there; `result` waits for it."""
        self._link.send((body, arguments, options))

    def result(self) -> Any:
        if not self._link.poll(PATIENCE):
            raise TimeoutError(f"process {self._process.pid} still works on it after {PATIENCE} s")
        kind, value = self._link.recv()
        if kind is None:
            return value
        raise Failed(kind, value)

    def is_done(self) -> bool:
        """Whether `result` would not wait."""
        return self._link.poll()

    def call(self, body: Callable, *arguments: Any, **options: Any) -> Any:
        self.start(body, *arguments, **options)
        return self.result()

    def kill(self) -> None:
        """SIGKILL, and gone when this returns."""
        self._process.kill()
        self.wait_for_end()

    def has_ended(self) -> bool:
        return self._process.exitcode is not None

    def wait_for_end(self) -> None:
        self._process.join(PATIENCE)
        if self._process.exitcode is None:
            raise TimeoutError(f"process {self._process.pid} does not end")

    def freeze(self) -> None:
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._process.pid, signal.SIGCONT)

    def is_frozen(self) -> bool:
        with open(f"/proc/{self._process.pid}/stat") as status:
            return status.read().rpartition(")")[2].split()[0] == "T"

    def close(self) -> None:
        self.kill()
        self._link.close()


class Crew:
    """A master and the peers of a test. Leaves nothing behind.

    Args:
        environment: of all of them, beside this process's.
    """

    def __init__(self, **environment: str) -> None:
        self._environment = environment
        self._peers: list[Peer] = []
        before = dict(os.environ)
        os.environ.update(environment)  # read when a master is made
        try:
            self._master, self.address = _started_master()
        finally:
            os.environ.clear()
            os.environ.update(before)

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        for peer in self._peers:
            peer.close()
        self._master.interrupt()
        self._master.await_termination()

    def hire(self, count: int) -> list[Peer]:
        hired = [Peer(self._environment) for _ in range(count)]
        self._peers += hired
        return hired


def together(peers: Sequence[Peer], body: Callable, *arguments: Any, **options: Any) -> list:
    """The results of body at all of them at once."""
    for peer in peers:
        peer.start(body, *arguments, **options)
    return [peer.result() for peer in peers]


def same(peers: Sequence[Peer], body: Callable = bodies.shared) -> Any:
    """What all of them hold, which has to be the same."""
    states = together(peers, body)
    assert all(state == states[0] for state in states)
    return states[0]


def until(is_so: Callable[[], bool], meanwhile: Callable[[], Any]) -> None:
    """Does something, with or without effect, again and again until it is so."""
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not so after {PATIENCE} s")
        meanwhile()


def begin(peers: Sequence[Peer], join: Callable, address: str, each: Sequence[dict] = (), **options: Any) -> None:
    """All join, with seeds 0, 1, ..., and begin together. The run is the first one's, whose model counts.

    Args:
        each: options of one peer each, beside those of all.
    """
    peers[0].call(bodies.prepare, address, connect=True)  # the first of a run is let in at once
    for i, peer in enumerate(peers):
        peer.start(join, address, **{"seed": i, "min_peers": len(peers), **options, **(each[i] if each else {})})
    for peer in peers:
        peer.result()


def _started_master() -> tuple[pccl.MasterNode, str]:
    for _ in range(20):
        # Below the range of outgoing connections, one of which might sit on it otherwise.
        address = f"127.0.0.1:{random.SystemRandom().randrange(20000, 32000)}"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", int(address.rpartition(":")[2]))) == 0:
                continue  # somebody else's, perhaps under SO_REUSEPORT
        master = pccl.MasterNode(address)
        try:
            master.run()
        except pccl.PCCLError:
            continue
        return master, address
    raise RuntimeError("no free port for a master")


def _serve(link: Connection, environment: dict[str, str]) -> None:
    import torch

    os.environ.update(environment)
    torch.set_num_threads(1)
    test = multiprocessing.parent_process().sentinel
    threading.Thread(target=lambda: (wait([test]), os._exit(1)), daemon=True).start()  # nobody is left behind
    namespace = types.SimpleNamespace()
    while True:
        body, arguments, options = link.recv()
        try:
            outcome = None, body(namespace, *arguments, **options)
        except BaseException as error:  # KeyboardInterrupt, too
            outcome = type(error).__name__, traceback.format_exc()
        link.send(outcome)
